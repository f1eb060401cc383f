"""
Broken clients, thousands of them: `make test` plays 2,000 conversations, always the same; `make soak` 100,000.

FUZZ_EXAMPLES says how many, FUZZ_SEED with which one the first begins. Each kind of settings is fed by a process of its
own, which patches the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.live.servers import ROOT

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

VARIANTS = ("close", "drop-oldest", "keep-newest", "compression")
"""Keys of VARIANTS in tests/fuzz/site.py, which only a patched process can import."""

SECONDS = 60 + EXAMPLES // 10
"""How long a variant may take; each example takes about 8 ms on an idle machine."""


@pytest.mark.live
@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_conversation_harms_the_server(variant: str) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.run", str(EXAMPLES // len(VARIANTS)), str(SEED)]
    environment = {**os.environ, "FUZZ_VARIANT": variant, "PYTHONPATH": str(ROOT)}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == ""
