"""A disk that fills while a dataset is built: one sentence, nothing finished is lost, and the next build resumes."""

import subprocess
import sys

import pytest

from exhubert.emoset import build, load

from ..conftest import write_tone
from .conftest import manifest

# No file may grow beyond the limit, as on a disk that is full: Python ignores the signal, and writing fails.
FULL = """
import resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from exhubert.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("limit", [5_000, 300_000])
def test_a_full_disk_ends_the_build_in_a_sentence_and_the_next_build_completes_it(emo_db, tmp_path, limit, processes):
    own = manifest(
        tmp_path / "own",
        ["file,label,speaker", *(f"{number}.wav,joy,speaker {number % 4}" for number in range(40))],
    )
    for number in range(40):
        write_tone(own / f"{number}.wav", seconds=2.0)
    out = tmp_path / "out"
    build({"emo_db": emo_db}, out)
    finished, rows = files(out / "emo_db"), load(out).num_rows
    command = ["emoset", "build", "--output", str(out), "--corpus", f"emo_db={emo_db}", "--corpus", f"own={own}"]
    command = [sys.executable, "-c", FULL, str(limit), *command, "--num_proc", str(processes)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"exhubert: {out}: writing failed (File too large). Make room, or move the folder; the same command then "
        "resumes, and keeps the corpora that are finished."
    )
    assert files(out / "emo_db") == finished and not (out / "own").exists()
    assert load(out).num_rows == rows, "the dataset stays as it was"
    build({"emo_db": emo_db, "own": own}, out)
    build({"emo_db": emo_db, "own": own}, tmp_path / "at once")
    assert files(out) == files(tmp_path / "at once")
