"""A hub whose repositories are folders, for tests without a network."""

from __future__ import annotations

import shutil
import types
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils import filter_repo_objects


class FakeHub:
    """Repositories are folders; nothing leaves this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: dict[str, Any] = {}

    @classmethod
    def instead_of_the_real_one(cls, folder: Path, patch: pytest.MonkeyPatch) -> FakeHub:
        fake = cls(folder)
        for name in ("HfApi", "hf_hub_download"):
            patch.setattr(f"huggingface_hub.hub_mixin.{name}", getattr(fake, name))
        patch.setattr("rac.api.model.snapshot_download", fake.snapshot_download)
        return fake

    def HfApi(self, token: str | None = None) -> FakeHub:  # noqa: N802
        return self

    def create_repo(self, repo_id: str, **_: Any) -> Any:
        (self.folder / repo_id).mkdir(parents=True, exist_ok=True)
        return types.SimpleNamespace(repo_id=repo_id)

    def upload_folder(self, repo_id: str, folder_path: Path, **_: Any) -> str:
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return f"https://hub/{repo_id}"

    def hf_hub_download(self, repo_id: str, filename: str, **_: Any) -> str:
        return str(self.folder / repo_id / filename)

    def snapshot_download(self, repo_id: str, *, allow_patterns: list[str], **asked: Any) -> str:
        self.asked = asked
        origin, copy = self.folder / repo_id, self.folder / "copies" / repo_id
        files = [str(path.relative_to(origin)) for path in origin.rglob("*") if path.is_file()]
        for name in filter_repo_objects(files, allow_patterns=allow_patterns):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin / name, copy / name)
        return str(copy)
