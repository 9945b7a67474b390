"""Letters and signs drawn from typefaces: their names, their drawings and the scenes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.mini import signs
from training.mini.pictures import SIGNS, clipart_name, gcompris_name, sign_pictures
from training.mini.scenebank import views_of
from training.mini.signs import FONTS, TYPEFACES, draw_sign, drawn_signs, sign_name

needs_fonts = pytest.mark.skipif(
    not all((FONTS / face).exists() for face in TYPEFACES),
    reason="install Debian's fonts-dejavu-core, -freefont-ttf, -liberation and -symbola",
)


@pytest.mark.parametrize(
    ("sign", "name"),
    [
        ("a", "letter a"),
        ("A", "letter a"),
        ("ñ", "letter n with tilde"),
        ("Ω", "greek letter omega"),
        ("≠", "not equal to"),
        ("¢", "cent sign"),
        ("♔", "chess king"),
        ("♚", "chess king"),
        ("\U0001d15e", "half note"),
        ("♌", "leo symbol"),
        ("➟", "dashed triangle-headed rightwards arrow"),
    ],
)
def test_signs_are_named_as_unicode_does_but_for_case_and_make(sign: str, name: str) -> None:
    assert sign_name(sign) == name


def test_no_sign_is_listed_without_a_name() -> None:
    listed = list(signs.signs())
    assert len(listed) == len(set(listed)) > 400
    assert all(len(sign_name(sign)) > 1 for sign in listed)
    assert {"A", "z", "7", "€", "♞"} <= set(listed)


@needs_fonts
def test_a_sign_is_drawn_solid_or_outlined_and_cut_to_its_size() -> None:
    solid = np.asarray(draw_sign("L", TYPEFACES[0], outlined=False))
    outlined = np.asarray(draw_sign("L", TYPEFACES[0], outlined=True))
    for drawn in (solid, outlined):
        seen = drawn[..., 3] > 0
        assert seen.any(axis=0)[[0, -1]].all()
        assert seen.any(axis=1)[[0, -1]].all()
    assert solid[solid[..., 3] == 255][:, :3].max() == 0
    assert (outlined[outlined[..., 3] == 255][:, :3] == 255).mean() > 0.2


@needs_fonts
def test_only_typefaces_that_have_a_sign_draw_it() -> None:
    knights = [key for key, name, _ in drawn_signs() if name == "chess knight"]
    assert f"265e-{Path(TYPEFACES[-1]).stem}" in knights
    assert not any("LiberationMono" in key for key in knights)


@needs_fonts
def test_signs_are_never_mirrored_or_piled() -> None:
    pictures = list(sign_pictures())
    assert len({picture.key for picture in pictures}) == len(pictures)
    assert {picture.source for picture in pictures} == {SIGNS}
    assert {views_of(picture) for picture in pictures} == {("plain",)}


def test_files_of_gcompris_are_named_by_what_they_show() -> None:
    assert gcompris_name("chess", "bn") == "chess knight"
    assert gcompris_name("money", "n50e") == "50 euro banknote"
    assert gcompris_name("solar_system", "mars") == "planet mars"
    assert gcompris_name("solar_system", "sun") == "sun"
    assert gcompris_name("lang", "teddy_bear") == "teddy bear"
    assert clipart_name("toilet_men1") == "toilet men"
