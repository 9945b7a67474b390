"""Encoders from outside: folders, repositories and names that others wrote are data, or refused."""

from __future__ import annotations

import csv
import json
import random
import runpy
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from rac.classifier import RacClassifier
from rac.cli.app import app
from rac.encoders import Encoder, load_encoder
from rac.encoders.config import check_encoder_config
from rac.encoders.load import mini_folder, usable_name
from rac.encoders.sources import Repository
from rac.encoders.text_tower import tower_config
from rac.errors import InputError
from tests.hostile.hub import offline_hub, write_repository
from tests.hostile.table import Promise
from tests.hostile.tokenizers_by_hand import SETTINGS, WORDS, description, tables, write_encoder
from tests.rac.test_classifier import classifier, with_memory_of_another_encoder
from tests.tiny_models import write_tiny_model
from tests.toy import ToyEncoder, write_toy_images

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"

Damage = Callable[[Path], None]


def load(name: str | Path) -> Encoder:
    return load_encoder(str(name), device="cpu", runtime="torch", precision="float32")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with a tokenizer of its own."""
    return write_encoder(tmp_path_factory.mktemp("encoders") / "plain")


@pytest.fixture
def folder(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to be damaged."""
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    return Path(shutil.copytree(plain, tmp_path / "encoder"))


def said(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set a key of the configuration; ``a.b`` is below ``model_cfg``."""

    def change(config: dict[str, Any]) -> None:
        *above, last = path.split(".")
        place = config if above[:1] == ["preprocess_cfg"] else config["model_cfg"]
        for key in above:
            place = place.setdefault(key, {})
        place[last] = value

    return change


# Name, change, and what the message names.
SETTINGS_CASES: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    (path, said(path, value), path.rpartition(".")[2])
    for path, value in [
        ("text_cfg.tokenizer_kwargs.trust_remote_code", True),
        ("text_cfg.tokenizer_kwargs.bpe_path", "/etc/hostname"),
        ("text_cfg.tokenizer_kwargs.tokenizer_file", "/etc/hostname"),
        ("text_cfg.tokenizer_kwargs.cache_dir", "/srv"),
        ("text_cfg.tokenizer_kwargs.clean", "eval"),
        ("text_cfg.tokenizer_mode", "code"),
        ("text_cfg.hf_tokenizer_name", "/srv/tokenizer"),
        ("text_cfg.hf_tokenizer_name", "../tokenizer"),
        ("text_cfg.hf_model_name", "/srv/tower"),
        ("text_cfg.hf_model_name", "./tower"),
        ("text_cfg.hf_model_name", "org/tower/config.json"),
        ("text_cfg.hf_pooler_type", "os.system"),
        ("text_cfg.attn_implementation", "org/kernels"),
        ("text_cfg.vocab_size", 10**12),
        ("text_cfg.context_length", 0),
        ("text_cfg.layers", 10**6),
        ("text_cfg.heads", -2),
        ("text_cfg.width", 1e30),
        ("text_cfg.act_kwargs", {"approximate": "tanh", "inplace": True}),
        ("text_cfg.norm_kwargs", {"eps": -1}),
        ("vision_cfg.timm_model_name", "hf-hub:org/model"),
        ("vision_cfg.timm_model_name", "local-dir:/srv/model"),
        ("vision_cfg.timm_model_name", "../model"),
        ("vision_cfg.timm_model_name", 7),
        ("vision_cfg.timm_kwargs", {"checkpoint_path": "/srv/x"}),
        ("vision_cfg.image_size", 10**9),
        ("vision_cfg.image_size", [16, 16, 16]),
        ("vision_cfg.layers", "1"),
        ("vision_cfg.patch_size", 0),
        ("vision_cfg.width", True),
        ("vision_cfg.mlp_ratio", None),
        ("vision_cfg.surprise", 1),
        ("embed_dim", 0),
        ("embed_dim", "16"),
        ("custom_text", "yes"),
        ("cast_dtype", "float16"),
        ("init_logit_scale", 1e300),
        ("_target_", "os.system"),
        ("preprocess_cfg.std", [0, 0, 0]),
        ("preprocess_cfg.mean", [0.5, 0.5]),
        ("preprocess_cfg.interpolation", "lanczos"),
        ("preprocess_cfg.resize_mode", "code"),
        ("preprocess_cfg.mode", "CMYK"),
        ("preprocess_cfg.photo_crop_pct", 0),
        ("preprocess_cfg.auto_map", {}),
    ]
]
# Name, the file's bytes, and what the message says.
DOCUMENT_CASES: list[tuple[str, bytes, str]] = [
    ("empty", b"", "is not JSON"),
    ("cut", json.dumps(description()).encode()[:-20], "is not JSON"),
    ("a list", b"[]", "model_cfg|should be|object"),
    ("a number", b"7", "not the configuration"),
    ("nothing said", b"{}", "model_cfg"),
    ("deep", b"[" * 200_000, "too deep"),
    ("deep in a key", b'{"model_cfg": ' + b'{"a":' * 100_000, "too deep"),
    ("UTF-16", json.dumps(description()).encode("utf-16"), "UTF-8"),
    ("Latin-1", b'{"model_cfg": "\xe9"}', "UTF-8"),
    ("a mark in front", b"\xef\xbb\xbf{}", "is not JSON"),
    ("NaN", b'{"model_cfg": {"embed_dim": NaN}}', "NaN is not a number"),
    ("infinity", b'{"model_cfg": {"embed_dim": -Infinity}}', "Infinity is not a number"),
    ("a key twice", b'{"model_cfg": {}, "model_cfg": {}}', "occurs twice"),
    ("a number without end", b'{"model_cfg": ' + b"1" * 5000 + b"}", "is not JSON"),
    ("too long", b" " * (2 << 20), "bytes are too many"),
    ("YAML", b"model_cfg: !!python/name:os.system\n", "is not JSON"),
    ("pickle", b"\x80\x04N.", "UTF-8"),
]


@pytest.mark.parametrize(("name", "change", "names"), SETTINGS_CASES)
def test_a_setting_that_is_not_known_is_refused_by_name(
    name: str,
    change: Callable[[dict[str, Any]], None],
    names: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(open_clip, "create_model_from_pretrained", forbidden)
    config = json.loads((folder / CONFIG).read_text())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match=names) as refused:
        load(folder)
    assert str(folder / CONFIG) in str(refused.value)


@pytest.mark.parametrize(("name", "content", "says"), DOCUMENT_CASES)
def test_a_configuration_that_is_no_json_is_refused(
    name: str, content: bytes, says: str, folder: Path
) -> None:
    (folder / CONFIG).write_bytes(content)
    with pytest.raises(InputError, match=says) as refused:
        load(folder)
    assert str(folder / CONFIG) in str(refused.value)


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("nothing is to be built of this")


@pytest.mark.parametrize("name", open_clip.list_models())
def test_every_architecture_of_open_clip_is_known(name: str) -> None:
    described = open_clip.get_model_config(name)
    found = check_encoder_config({"model_cfg": described}, name)
    assert found.model_cfg.said() == described


def test_identities_of_encoders_without_a_tokenizer_of_their_own_stay(tmp_path: Path) -> None:
    """Memories that were made before tokenizers counted are to be read."""
    assert load("mini").identity == "56bf922c85fb70713f4a1d551d9f4837"
    (tmp_path / "copy").symlink_to(mini_folder())
    assert load(tmp_path / "copy").identity == "56bf922c85fb70713f4a1d551d9f4837"


# --- code beside the data ---------------------------------------------------------------------

MARKER = "from pathlib import Path\nPath({!r}).write_text('ran')\nclass Marked: pass\n"
AUTO = {"AutoTokenizer": ["tokenization_marked.Marked", None]}
# What lies in the folder, besides Python that would leave a marker; and what the message names.
CODE_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("a tokenizer's map", {"tokenizer_config.json": SETTINGS | {"auto_map": AUTO}}, "auto_map"),
    (
        "a map in the old form",
        {"tokenizer_config.json": SETTINGS | {"auto_map": ["tokenization_marked.Marked", None]}},
        "auto_map",
    ),
    ("a map beside the roles", {"special_tokens_map.json": {"auto_map": AUTO}}, "auto_map"),
    (
        "trust asked by the config",
        {
            CONFIG: description(tokenizer_kwargs={"trust_remote_code": True}),
            "tokenizer_config.json": SETTINGS | {"auto_map": AUTO},
        },
        "trust_remote_code",
    ),
]
ASKED_BY = ("embed", "predict", "index add", "zero-shot", "hub")


@pytest.mark.parametrize("asked_by", ASKED_BY)
@pytest.mark.parametrize(("name", "files", "names"), CODE_CASES)
def test_code_beside_an_encoder_is_not_run(
    name: str,
    files: dict[str, Any],
    names: str,
    asked_by: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker = tmp_path / "marker"
    code = MARKER.format(str(marker))
    for place in (
        "tokenization_marked.py",
        "configuration_marked.py",
        "sentencepiece_model_pb2.py",
    ):
        (folder / place).write_text(code)
    for place, content in files.items():
        (folder / place).write_text(json.dumps(content))
    # Whatever the environment says, and whoever answers its questions.
    for variable in ("HF_TRUST_REMOTE_CODE", "TRANSFORMERS_TRUST_REMOTE_CODE", "TRUST_REMOTE_CODE"):
        monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.chdir(folder)
    encoder = str(folder)
    if asked_by == "hub":
        offline_hub(tmp_path / "hub", monkeypatch)
        content = {path.name: path.read_bytes() for path in folder.iterdir()}
        write_repository(tmp_path / "hub", "org/words", content, "special_tokens_map.json")
        encoder = "hf-hub:org/words"
    ended = CliRunner().invoke(app, command(asked_by, encoder, tmp_path), input="y\n" * 9)
    assert isinstance(ended.exception, InputError), (ended.output, ended.exception)
    assert names in str(ended.exception)
    assert not marker.exists()
    assert "tokenization_marked" not in sys.modules
    # The marker is one: run, the file leaves it.
    runpy.run_path(str(folder / "tokenization_marked.py"))
    assert marker.exists()


def command(
    asked_by: str, encoder: str, home: Path, model: RacClassifier | None = None
) -> list[str]:
    """Arguments that name an encoder, the last two, with what they need made in a folder."""
    names = write_toy_images(home / "images", ["red", "blue"])
    table = home / "items.csv"
    with open(table, "w", newline="") as handle:
        csv.writer(handle).writerows(
            [["id", "image", "label"], *([name, f"images/{name}", "red"] for name in names)]
        )
    own = ["--encoder", encoder]
    saved = (model or classifier()).save(home / "model")
    match asked_by:
        case "predict" | "predict by memory":
            return ["predict", str(table), "--model", str(saved), "-o", f"{home}/out.csv", *own]
        case "index add":
            return ["index", "add", str(saved / "memory"), str(table), *own]
        case "index search":
            return ["index", "search", str(saved / "memory"), f"{home}/images/{names[0]}", *own]
        case "zero-shot":
            return ["zero-shot", str(table), "--label", "label", *own]
    return ["embed", str(table), "-o", f"{home}/out", *own]


def test_files_beside_a_good_encoder_are_not_looked_at(folder: Path, tmp_path: Path) -> None:
    before = load(folder).identity
    for place in ("tokenization_x.py", "config.json", "setup.py", "__init__.py", "vocab.json"):
        (folder / place).write_text(MARKER.format(str(tmp_path / "marker")))
    assert load(folder).identity == before
    assert not (tmp_path / "marker").exists()


# --- names that a model or a memory says ------------------------------------------------------

# What is stored, and whether it may be used; {home} is a folder of somebody's.
STORED_CASES: list[tuple[str, bool]] = [
    ("mini", True),
    ("hf-hub:org/words", True),
    ("ViT-B-32/laion2b_s34b_b79k", True),
    ("{cache}/encoders/kept", True),
    ("{home}/encoder", False),
    ("{home}/encoder/", False),
    ("{home}/missing", False),
    ("./encoder", False),
    ("encoder", False),
    ("../{name}/encoder", False),
    ("~", False),
    ("org/words", False),
    ("ViT-B-32/{home}/weights.bin", False),
    ("ViT-B-32/weights.bin", False),
    ("{cache}/../encoder", False),
    ("{cache}/encoders/link", False),
    ("/proc/self/cwd/encoder", False),
]


@pytest.fixture
def places(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Folders that stored names may point at; the person stands in ``home``."""
    kept = tmp_path / "cache" / "encoders"
    kept.mkdir(parents=True)
    shutil.copytree(folder, kept / "kept")
    (kept / "link").symlink_to(folder)
    shutil.copytree(folder, tmp_path / "org" / "words")
    (tmp_path / "weights.bin").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return {"home": str(tmp_path), "cache": str(tmp_path / "cache"), "name": tmp_path.name}


@pytest.mark.parametrize(("stored", "fine"), STORED_CASES)
def test_a_stored_name_is_no_way_to_a_folder(
    stored: str, fine: bool, places: dict[str, str]
) -> None:
    name = stored.format(**places)
    if fine:
        assert usable_name(name, "config.json") == name
        return
    with pytest.raises(InputError, match="only used where you name it yourself: --encoder") as told:
        usable_name(name, "config.json")
    assert str(told.value).startswith("config.json: ")


@pytest.mark.parametrize("asked", ["predict", "predict by memory", "index add", "index search"])
def test_models_and_memories_that_name_a_folder_say_what_to_pass(
    asked: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rac.encoders.load_encoder", forbidden)
    model = classifier()
    if asked == "predict by memory":
        # Its own encoder is had, that of its memory is not.
        model = with_memory_of_another_encoder()
        monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder())
        own = model.config.memory_encoder
        assert own is not None
        named = own.model_copy(update={"encoder_name": str(folder)})
        model.config = model.config.model_copy(update={"memory_encoder": named})
    else:
        model.config = model.config.model_copy(update={"encoder_name": str(folder)})
    arguments = command(asked, "", tmp_path, model)[:-2]
    ended = CliRunner().invoke(app, arguments)
    assert isinstance(ended.exception, InputError), (ended.output, ended.exception)
    assert str(folder) in str(ended.exception)
    option = "--memory-encoder" if asked == "predict by memory" else "--encoder"
    assert f"{option} {folder}" in str(ended.exception)


# --- tokenizers ---------------------------------------------------------------------------------

OUTSIDE = tables((*WORDS, *(f"w{number}" for number in range(50)), "zebra"))
TOKENIZER_CASES: list[tuple[str, str, bytes | None, str]] = [
    ("no tables", "tokenizer.json", None, "no tokenizer.json there"),
    ("empty tables", "tokenizer.json", b"", "is not a tokenizer"),
    ("tables of nothing", "tokenizer.json", b"{}", "is not a tokenizer"),
    ("cut tables", "tokenizer.json", tables()[:-40], "is not a tokenizer"),
    ("deep tables", "tokenizer.json", b"[" * 100_000, "is not a tokenizer"),
    ("tables in UTF-16", "tokenizer.json", "{}".encode("utf-16"), "UTF-8"),
    ("a pickle", "tokenizer.json", b"\x80\x04N.", "UTF-8"),
    ("another pad", "tokenizer_config.json", b'{"pad_token": "[NO]"}', "pad_token"),
    ("no pad", "tokenizer_config.json", b"{}", "no pad_token"),
    ("a pad that is a list", "tokenizer_config.json", b'{"pad_token": [1]}', "pad_token"),
    ("a third side", "tokenizer_config.json", b'{"padding_side": "up"}', "padding_side"),
    ("an end that is a word", "tokenizer_config.json", b'{"add_eos_token": "y"}', "add_eos_token"),
    ("an end that is not there", "tokenizer_config.json",
     json.dumps(SETTINGS | {"add_eos_token": True}).encode(), "eos_token"),
    ("settings that are a list", "tokenizer_config.json", b"[]", "should hold fields"),
    ("deep settings", "tokenizer_config.json", b"[" * 100_000, "too deep"),
    ("roles in Latin-1", "special_tokens_map.json", b'{"a": "\xe9"}', "UTF-8"),
    ("a token beyond the tower", "tokenizer.json", OUTSIDE, "its text tower knows 9"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "content", "says"), TOKENIZER_CASES)
def test_a_tokenizer_that_is_none_is_refused(
    name: str, file: str, content: bytes | None, says: str, folder: Path
) -> None:
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(InputError, match=says):
        load(folder).encode_texts(["a zebra"])


def test_other_tables_are_named_with_what_to_do(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    with pytest.raises(InputError, match=r"spiece\.model alone will not do.*save_pretrained"):
        load(folder)


def test_tokens_are_those_of_transformers(folder: Path) -> None:
    from tokenizers import Tokenizer

    transformers = pytest.importorskip("transformers")
    texts = ["", "a photo of a cat.", "A CAT, a cat. " * 20, "zebra"]
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tables().decode()),
        pad_token=SETTINGS["pad_token"],
    )
    cleaned = [open_clip.tokenizer.get_clean_fn("canonicalize")(text) for text in texts]
    expected = theirs(
        cleaned, return_tensors="pt", max_length=12, padding="max_length", truncation=True
    )
    encoder: Any = load(folder)
    assert encoder._tokenizer(texts).tolist() == expected.input_ids.tolist()


def test_a_changed_tokenizer_is_another_encoder(folder: Path) -> None:
    before = load(folder)
    changed = tables(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "photo", "of", "a", "."))
    (folder / "tokenizer.json").write_bytes(changed)
    after = load(folder)
    assert after.identity != before.identity
    assert not np.allclose(after.encode_texts(["a cat"]), before.encode_texts(["a cat"]))
    # The image tower is the same, and still it is another encoder.
    pixels = np.zeros((1, 3, 16, 16), np.uint8)
    np.testing.assert_array_equal(
        after.encode_images(pixels).embedding, before.encode_images(pixels).embedding
    )


def test_what_weights_do_not_show_of_an_architecture_is_told_by_the_identity(folder: Path) -> None:
    before = load(folder)
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["text_cfg"]["heads"] = 4
    (folder / CONFIG).write_text(json.dumps(config))
    after = load(folder)
    assert not np.allclose(after.encode_texts(["a cat"]), before.encode_texts(["a cat"]))
    assert after.identity != before.identity


# --- weights ------------------------------------------------------------------------------------


class _Marking:
    """Unpickled as objects are, it leaves a marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def _with(name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Damage:
    def damage(folder: Path) -> None:
        state = load_file(str(folder / WEIGHTS))
        changed = change(state.pop(name))
        if changed is not None:
            state[name] = changed
        save_file(state, str(folder / WEIGHTS))

    return damage


def _filled(number: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[0] = number
        return tensor

    return change


def _bytes(change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: _rewrite(folder / WEIGHTS, change)


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _pickled(state: Any, suffix: str = ".bin") -> Damage:
    def damage(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        marked = _Marking(folder / "marker") if state == "marker" else state
        torch.save({"state_dict": marked}, folder / f"open_clip_pytorch_model{suffix}")

    return damage


def _larger(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["vision_cfg"] |= {"width": 16_384, "layers": 100, "head_width": 64}
    (folder / CONFIG).write_text(json.dumps(config))


def _larger_by_name(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["vision_cfg"] = {"timm_model_name": "vit_giant_patch14_224"}
    (folder / CONFIG).write_text(json.dumps(config))


WEIGHTS_CASES: list[tuple[str, Damage, str]] = [
    ("none", lambda folder: (folder / WEIGHTS).unlink(), "no weights could be loaded"),
    ("empty", _bytes(lambda _: b""), "cannot be loaded"),
    ("text", _bytes(lambda _: b"version https://git-lfs"), "cannot be loaded"),
    ("cut", _bytes(lambda whole: whole[:-100]), "cannot be loaded"),
    ("a header without end", _bytes(lambda whole: struct.pack("<Q", 2**60) + whole[8:]), "loaded"),
    ("a header of nothing", _bytes(lambda _: struct.pack("<Q", 2) + b"{}"), "numbers"),
    ("NaN", _with("ln_final.weight", _filled(float("nan"))), "ln_final.weight holds a number"),
    ("infinity", _with("visual.proj", _filled(float("inf"))), "visual.proj holds a number"),
    ("a scale of e^1000", _with("logit_scale", _filled(1000.0)), "logit_scale"),
    ("one missing", _with("visual.proj", lambda _: None), "visual.proj"),
    ("another shape", _with("visual.proj", lambda old: old[:, :3].clone()), "visual.proj"),
    ("one too many", _with("ln_final.bias", lambda old: None), "ln_final.bias"),
    ("code in a pickle", _pickled("marker"), "more than tensors"),
    ("code in another pickle", _pickled("marker", ".pth"), "more than tensors"),
    ("a pickle of a list", _pickled([1, 2]), "cannot be loaded"),
    ("an architecture far too large", _larger, "numbers, its weights are"),
    ("a named one far too large", _larger_by_name, "numbers, its weights are"),
]


@pytest.mark.parametrize(("name", "damage", "says"), WEIGHTS_CASES)
def test_weights_that_are_none_are_refused(
    name: str,
    damage: Damage,
    says: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    damage(folder)
    with pytest.raises(InputError, match=says) as refused:
        load(folder)
    assert str(folder) in str(refused.value)
    assert not (folder / "marker").exists()


def test_tensors_in_a_pickle_are_read(folder: Path) -> None:
    before = load(folder).identity
    _pickled(load_file(str(folder / WEIGHTS)))(folder)
    assert load(folder).identity == before


# --- the hub ------------------------------------------------------------------------------------

TOWER = {
    "model_type": "roberta",
    "hidden_size": 32,
    "num_attention_heads": 2,
    "vocab_size": 9,
    "num_hidden_layers": 1,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
    "type_vocab_size": 1,
    "pad_token_id": 0,
}
TOWER_CASES: list[tuple[str, bytes, str]] = [
    ("code", json.dumps(TOWER | {"auto_map": {"AutoConfig": "x.Y"}}).encode(), "auto_map"),
    ("a kind of its own", json.dumps(TOWER | {"model_type": "marked"}).encode(), "'marked'"),
    ("no kind", b"{}", "kind None"),
    ("a width in words", json.dumps(TOWER | {"hidden_size": "32"}).encode(), "hidden_size"),
    ("a width without end", json.dumps(TOWER | {"hidden_size": 10**30}).encode(), "hidden_size"),
    ("an activation of code", json.dumps(TOWER | {"hidden_act": "os.system"}).encode(), "hidden_a"),
    ("a list", b"[]", "should hold fields"),
    ("deep", b"[" * 100_000, "too deep"),
]


@pytest.mark.parametrize(("name", "content", "says"), TOWER_CASES)
def test_a_text_tower_is_built_by_known_numbers_only(
    name: str, content: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_hub(tmp_path, monkeypatch)
    write_repository(tmp_path, "org/tower", {"config.json": content})
    with pytest.raises(InputError, match=says) as refused:
        tower_config(Repository("org/tower"))
    assert "config.json" in str(refused.value)


def test_of_a_towers_configuration_nothing_else_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_hub(tmp_path, monkeypatch)
    more = {"_attn_implementation": "org/kernels", "quantization_config": {}, "_name_or_path": "/x"}
    write_repository(tmp_path, "org/tower", {"config.json": json.dumps(TOWER | more).encode()})
    assert tower_config(Repository("org/tower")) == dict(sorted(TOWER.items()))


def test_a_folder_named_like_a_repository_is_not_taken_for_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaders of transformers look for a folder first, wherever a command is run."""
    offline_hub(tmp_path / "hub", monkeypatch)
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_repository(tmp_path / "hub", "org/encoder", content)
    write_repository(tmp_path / "hub", "org/words", content, "special_tokens_map.json")
    expected = load("hf-hub:org/encoder").identity
    assert expected == load(folder).identity
    beside = tmp_path / "run" / "org" / "words"
    beside.mkdir(parents=True)
    (beside / "tokenizer_config.json").write_text(json.dumps({"auto_map": AUTO}))
    (beside / "tokenization_marked.py").write_text(MARKER.format(str(tmp_path / "marker")))
    monkeypatch.chdir(tmp_path / "run")
    assert load("hf-hub:org/encoder").identity == expected
    assert not (tmp_path / "marker").exists()


HUB_NAMES = ("hf-hub:", "hf-hub:/etc", "hf-hub:../encoder", "hf-hub:a/b/c", "hf-hub:org/no--name")


@pytest.mark.parametrize("name", HUB_NAMES)
def test_a_name_that_the_hub_cannot_have_is_refused(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline_hub(folder.parent / "hub", monkeypatch)
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="cannot be fetched"):
        load(name)


# --- flipped bits -------------------------------------------------------------------------------

FLIPS = 200


def test_a_flipped_bit_is_refused_or_another_encoder_or_changes_nothing(
    plain: Path, tmp_path: Path
) -> None:
    texts = ["a photo of a cat.", "cat", ""]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    whole = load(plain)
    expected = whole.encode_texts(texts), whole.encode_images(pixels)
    folder = shutil.copytree(plain, tmp_path / "encoder")
    files = sorted(path.name for path in plain.iterdir())
    dice = random.Random(11)
    outcomes, unnamed = {"refused": 0, "another": 0, "the same": 0}, 0
    for _ in range(FLIPS):
        name = dice.choice(files)
        content = bytearray((plain / name).read_bytes())
        bit = dice.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(content)
        try:
            found = load(folder)
            if found.identity != whole.identity:
                outcomes["another"] += 1
            else:
                outcomes["the same"] += 1
                assert (found.encode_texts(texts) == expected[0]).all(), (name, bit)
                images = found.encode_images(pixels)
                assert (images.embedding == expected[1].embedding).all(), (name, bit)
                assert (images.trunk == expected[1].trunk).all(), (name, bit)
        except InputError as refused:
            outcomes["refused"] += 1
            unnamed += str(folder) not in str(refused)
        shutil.copyfile(plain / name, folder / name)
    assert sum(outcomes.values()) == FLIPS
    assert not unnamed
    assert outcomes["refused"] > 20
    assert outcomes["another"] > 20


def test_a_tiny_model_with_the_built_in_tokenizer_is_read(tmp_path: Path) -> None:
    assert load(write_tiny_model(tmp_path / "vit", "vit")).embedding_dim == 16


PROMISES = [
    Promise(
        "encoder folders and repositories",
        "what an encoder's configuration says beyond known keys and values is refused by name, "
        "before anything is built",
        "unknown keys, loaders' options, paths and hubs in names, absurd sizes, other types; "
        "no JSON, deep JSON, other encodings",
        len(SETTINGS_CASES) + len(DOCUMENT_CASES),
    ),
    Promise(
        "code beside an encoder",
        "never runs, whatever the folder asks for, the environment says or a prompt is answered",
        "Python behind an auto_map, in four forms, through five commands",
        len(CODE_CASES) * len(ASKED_BY),
    ),
    Promise(
        "encoders that a model or memory names",
        "a folder is used only where you name it, or in the package or the cache",
        "paths in many forms, links, folders called like registered models",
        len(STORED_CASES) + len(HUB_NAMES) + 4,
    ),
    Promise(
        "tokenizers and text towers",
        "are read from tables and numbers; what is damaged is refused by name",
        "missing, cut, deep and foreign files, tokens out of range, code in configurations",
        len(TOKENIZER_CASES) + len(TOWER_CASES),
    ),
    Promise(
        "encoders' weights",
        "are tensors that fit and are finite, or refused",
        "damaged headers, NaN, other shapes, pickles with code, architectures far too large",
        len(WEIGHTS_CASES),
    ),
    Promise(
        "flipped bits in an encoder folder",
        "are refused, make another encoder, or change nothing",
        "random single bits of configuration, weights and tokenizer",
        FLIPS,
    ),
]
