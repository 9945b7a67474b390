"""A job that is killed at any moment loses nothing and doubles nothing.

``RAC_KILLS`` says how many moments are tried; the default is few, to keep the tests fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from tests.killing import Killer, fill_files, run_whole

KILLS = int(os.environ.get("RAC_KILLS", "4"))
SAME = ("filled.csv", "quarantine.csv", "embeddings/embedding.f32", "embeddings/trunk.f32")


def test_a_killed_job_ends_like_an_undisturbed_one(
    tmp_path: Path, write_catalogue: Callable[..., Path]
) -> None:
    table = str(write_catalogue(tmp_path / "shop"))
    whole = tmp_path / "whole"
    run_whole(fill_files, table, str(whole))
    killer = Killer(run_whole(fill_files, table, str(tmp_path / "second")))
    for moment in range(4 * KILLS):
        if killer.killed >= KILLS:
            break
        out = tmp_path / f"run{moment}"
        killer.run(fill_files, table, str(out))
        # Once more while it goes on with what is left.
        killer.run(fill_files, table, str(out))
        run_whole(fill_files, table, str(out))
        for name in SAME:
            assert (out / name).read_bytes() == (whole / name).read_bytes(), (moment, name)
        decided = pq.read_table(out / "ledger.parquet").to_pylist()
        assert decided == pq.read_table(whole / "ledger.parquet").to_pylist()
        assert not [path for path in out.iterdir() if path.name.endswith(".part")]
        assert not (out / ".ledger").exists()
    assert killer.killed >= KILLS


def test_a_job_goes_on_where_it_was(tmp_path: Path, write_catalogue: Callable[..., Path]) -> None:
    """Embedding ends after 80 of 160 rows; the next run opens only the other images."""
    from rac.attributes.fill import fill_table
    from rac.attributes.prepare import FillOptions
    from rac.attributes.run_folder import read_json
    from rac.attributes.schema import parse_schema
    from rac.attributes.store import open_store
    from rac.attributes.store_files import StoreManifest
    from rac.tables import open_table
    from tests.toy import ToyEncoder

    class Interrupted(ToyEncoder):
        def _forward_images(self, pixels):
            if self.images_encoded + len(pixels) > 80:
                raise KeyboardInterrupt
            return super()._forward_images(pixels)

    import rac.attributes.store as store

    table = open_table(write_catalogue(tmp_path / "shop"))
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    options = FillOptions(progress=False, batch_size=8)
    rows = store._COMMIT_ROWS
    store._COMMIT_ROWS = 16
    try:
        fill_table(table, schema, Interrupted(), tmp_path / "run", options)
    except KeyboardInterrupt:
        pass
    finally:
        store._COMMIT_ROWS = rows
    state = read_json(tmp_path / "run" / "state.json")
    assert state["stage"] == "embedding"
    manifest = tmp_path / "run" / "embeddings" / "manifest.json"
    done = StoreManifest.model_validate_json(manifest.read_text())
    assert 0 < done.rows <= 80
    assert not done.complete
    encoder = ToyEncoder()
    summary = fill_table(table, schema, encoder, tmp_path / "run", options)
    assert summary.images_opened == encoder.images_encoded == 160 - done.rows
    assert len(open_store(tmp_path / "run" / "embeddings").ok) == 160
    assert read_json(tmp_path / "run" / "state.json")["stage"] == "done"
