"""Encoders over real open_clip models, small enough to be made on the spot."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from rac.encoders import Encoder, load_encoder
from rac.encoders.texts import encode_tokens
from rac.errors import InputError


def load(folder: Path) -> Encoder:
    return load_encoder(str(folder), device="cpu", runtime="torch", precision="float32")


def pixels_for(encoder: Encoder, count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (50 + i, 70, 3), dtype=np.uint8) for i in range(count)]
    return np.stack([encoder.preprocess(image) for image in images])


def test_one_pass_gives_the_models_own_embedding_and_the_trunk_before_it(folder: Path) -> None:
    encoder = load(folder)
    pixels = pixels_for(encoder, 3)
    features = encoder.encode_images(pixels)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        # What the model's own transform does behind its resizing: mean and deviation are 0.5.
        values = torch.from_numpy(pixels) / 127.5 - 1.0
        expected = model.encode_image(values, normalize=True).numpy()
    np.testing.assert_allclose(features.embedding, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(features.embedding, axis=1), 1, atol=1e-5)
    assert features.trunk.shape == (3, encoder.trunk_dim)
    assert encoder.trunk_dim != encoder.embedding_dim
    # The trunk features carry the embedding: for the towers with a linear projection exactly.
    if folder.name == "vit":
        projected = features.trunk @ model.visual.proj.detach().numpy()
        projected /= np.linalg.norm(projected, axis=1, keepdims=True)
        np.testing.assert_allclose(projected, expected, atol=1e-5)


def test_batch_size_changes_nothing(folder: Path) -> None:
    encoder = load(folder)
    pixels = pixels_for(encoder, 5)
    whole = encoder.encode_images(pixels)
    single = [encoder.encode_images(pixels[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(
        whole.embedding, np.concatenate([one.embedding for one in single]), atol=1e-4
    )
    np.testing.assert_allclose(
        whole.trunk, np.concatenate([one.trunk for one in single]), atol=1e-3
    )


def test_texts_are_those_of_the_model_and_prompts_are_averaged(folders: dict[str, Path]) -> None:
    encoder = load(folders["vit"])
    texts = ["a photo of a cat.", "cat", "a photo of a dog.", "dog"]
    model = open_clip.create_model(f"local-dir:{folders['vit']}").eval()
    tokens = open_clip.get_tokenizer(f"local-dir:{folders['vit']}")(texts)
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(texts), expected, atol=1e-5)
    # One class with one name, one with two names that mean the same.
    ensembled = encoder.encode_prompts(["cat", ["dog", "cat"]], ["a photo of a {}.", "{}"])
    by_hand = np.stack([expected[:2].mean(axis=0), expected.mean(axis=0)])
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    np.testing.assert_allclose(ensembled, by_hand, atol=1e-5)


@pytest.mark.parametrize("longest", ["cat", "a " * 40])
def test_padding_left_out_changes_no_text(folders: dict[str, Path], longest: str) -> None:
    encoder = load(folders["vit"])
    texts = ["", "!", "a photo of a cat.", longest]
    model = open_clip.create_model(f"local-dir:{folders['vit']}").eval()
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(texts, 16))
    found = encode_tokens(encoder._model, open_clip.get_tokenizer("ViT-B-32")(texts, 16))
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4)


def test_texts_that_begin_alike_come_out_as_each_by_itself(folders: dict[str, Path]) -> None:
    encoder = load(folders["vit"])
    names = ("cat", "cat house", "dog", "a", "cat")
    texts = [f"a photo of a {name}." for name in names] + [f"a {name}" for name in names]
    model = open_clip.create_model(f"local-dir:{folders['vit']}").eval()
    tokens = open_clip.get_tokenizer("ViT-B-32")(texts * 10, 16)
    with torch.no_grad():
        expected = torch.cat([model.encode_text(one[None]) for one in tokens])
    found = encode_tokens(encoder._model, tokens)
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4)


def test_braces_in_a_class_name_are_text(folders: dict[str, Path]) -> None:
    encoder = load(folders["vit"])
    given = encoder.encode_prompts(["{0.__class__}"], ["a {}."])
    np.testing.assert_allclose(given, encoder.encode_texts(["a {0.__class__}."]), atol=1e-6)


def test_empty_input_is_fine_and_wrong_shapes_are_named(folders: dict[str, Path]) -> None:
    encoder = load(folders["vit"])
    assert encoder.encode_texts([]).shape == (0, 16)
    none = encoder.encode_images(np.zeros((0, 3, 32, 32), np.uint8))
    assert none.embedding.shape == (0, 16)
    assert none.trunk.shape == (0, 32)
    for wrong in (np.zeros((1, 3, 16, 16), np.uint8), np.zeros((1, 3, 32, 32), np.float32)):
        with pytest.raises(ValueError, match=r"\(N, 3, 32, 32\) of uint8"):
            encoder.encode_images(wrong)
    with pytest.raises(ValueError, match="no \\{\\}"):
        encoder.encode_prompts(["cat"], ["a photo"])
    with pytest.raises(ValueError, match="class number 1"):
        encoder.encode_prompts(["cat", []])


def test_identity_says_what_matters_and_only_that(
    tmp_path: Path, folders: dict[str, Path], write_model: Callable[..., Path]
) -> None:
    same = write_model(tmp_path / "elsewhere", "vit")
    other_weights = write_model(tmp_path / "weights", "vit", seed=1)
    other_mean = write_model(tmp_path / "mean", "vit", mean=0.4)
    identity = load_encoder(
        str(folders["vit"]), device="cpu", runtime="torch", precision="float32"
    ).identity
    assert load(same).identity == identity
    assert (
        load_encoder(
            str(other_weights), device="cpu", runtime="torch", precision="float32"
        ).identity
        != identity
    )
    assert load(other_mean).identity != identity


def test_photo_crop_is_part_of_the_identity_and_must_be_a_share(
    tmp_path: Path, folders: dict[str, Path], write_model: Callable[..., Path]
) -> None:
    folder = write_model(tmp_path / "cropping", "vit")
    config = folder / "open_clip_config.json"
    described = json.loads(config.read_text())
    for share, fine in ((0.8, True), (1.0, True), (0, False), (1.5, False), ("most", False)):
        described["preprocess_cfg"]["photo_crop_pct"] = share
        config.write_text(json.dumps(described))
        if not fine:
            with pytest.raises(InputError, match="photo_crop_pct: input should be"):
                load(folder)
            continue
        changed = load(folder).identity != load(folders["vit"]).identity
        assert changed == (share != 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nonsense", "there is no encoder"),
        ("ViT-B-32/no_such_weights", "laion2b_s34b_b79k"),
        ("No-Such-Model/openai", "knows no model"),
        ("./no/such/folder", "there is no encoder"),
    ],
)
def test_a_wrong_name_is_told_what_is_right(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_encoder(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        load(tmp_path)


def test_a_config_without_weights_is_refused(
    tmp_path: Path, write_model: Callable[..., Path]
) -> None:
    """open_clip alone would give a randomly initialised model and a warning."""
    folder = write_model(tmp_path / "bare", "vit")
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights could be loaded"):
        load(folder)


def test_weights_that_cannot_be_read_are_refused(
    tmp_path: Path, write_model: Callable[..., Path]
) -> None:
    folder = write_model(tmp_path / "broken", "vit")
    (folder / "open_clip_model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(folder)


def test_an_error_is_told_once_and_not_logged_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards against a screenful of retries, each logged twice, in front of what went wrong."""

    def fetch(*_: object) -> None:
        logging.warning("retrying")
        raise InputError("weights cannot be fetched: no network")

    monkeypatch.setattr("rac.encoders.openclip.find_source", fetch)
    with pytest.raises(InputError, match="cannot be fetched: no network"):
        load_encoder("hf-hub:some/model")
    assert not caplog.records
    logging.warning("heard again")
    assert len(caplog.records) == 1
