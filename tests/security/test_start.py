"""The start of a service on a machine that it shares with others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.contract.api_client import ApiClient
from tests.security.target import Target


def test_nobody_can_take_the_folder_of_counts_beforehand(launch: Callable[..., Target], tmp_path: Path) -> None:
    """Whatever names stand in the folder of temporary files, for every process id that the service may get: it starts,
    touches nothing of theirs, and counts in a folder that is its own alone.
    """
    theirs, temporary = tmp_path / "theirs", tmp_path / "temporary"
    theirs.mkdir()
    (theirs / "kept").write_text("kept")
    temporary.mkdir(mode=0o777)
    names = {f"baton-metrics-{os.getuid()}-{pid}" for pid in range(os.getpid(), os.getpid() + 2_000)}
    names |= {f"baton-metrics-{os.getuid()}-x", f"baton-metrics-{os.getuid()}-{10**30}-x"}
    for name in names:
        (temporary / name).symlink_to(theirs)
    launched = launch(TMPDIR=str(temporary))
    caller = ApiClient(launched.base)
    caller.create()
    assert "baton_" in caller.get("/metrics").text
    assert (theirs / "kept").read_text() == "kept"
    assert [one.name for one in theirs.iterdir()] == ["kept"]
    own = [one for one in temporary.iterdir() if one.is_dir() and not one.is_symlink() and "metrics" in one.name]
    assert [one.stat().st_mode & 0o777 for one in own] == [0o700]
    assert launched.service.stop() == 0
    assert not own[0].exists()
