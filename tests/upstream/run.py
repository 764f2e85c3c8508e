"""Runs transformers' own common tests on ExHuBERT.

They are not part of the installed package: the source distribution of the same version is fetched once with pip into
`.cache/upstream/`, which git ignores. Arguments go on to pytest:

    python tests/upstream/run.py -x -k save_load
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
TESTS = HERE / "test_common_exhubert.py"
CACHE = REPO / ".cache" / "upstream"
PACKAGE = "transformers_tests"  # not `tests`, which is ours

# What the common tests import and the source distribution leaves out.
STUBS = {
    "__init__.py": "",
    "exporters/__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/__init__.py": "",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/__init__.py": "",
    "utils/test_configuration_utils.py": """config_common_kwargs = {
    "architectures": ["ExHuBERTModel"],
    "chunk_size_feed_forward": 5,
    "dtype": "float16",
    "id2label": {0: "label"},
    "is_encoder_decoder": True,
    "label2id": {"label": 0},
    "output_hidden_states": True,
    "problem_type": "regression",
    "return_dict": False,
}
""",
}


def fetch(release: str) -> Path:
    """Folder that holds the test files of this transformers release as the package `transformers_tests`.

    Raises:
        SystemExit: The source distribution can't be downloaded, or holds no common tests.
    """
    folder = CACHE / f"transformers-{release}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            archive = download(release, Path(scratch))
            extract(archive, Path(scratch) / "whole" / PACKAGE)
            (Path(scratch) / "whole").rename(folder)  # last, so that an interrupted fetch leaves no folder
    for name, text in STUBS.items():
        path = folder / PACKAGE / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def download(release: str, folder: Path) -> Path:
    """Fetches the source distribution, a few megabytes, with pip as it is configured here."""
    print(f"Fetching the source distribution of transformers {release} ...", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
    done = subprocess.run([*command, "--dest", folder, f"transformers=={release}"], stderr=subprocess.PIPE, text=True)
    archives = list(folder.glob("transformers-*.tar.gz"))
    if done.returncode or not archives:
        sys.exit(
            f"{done.stderr}\npip could not download the source distribution of transformers {release}, the installed "
            "version; its common tests are in there. Check that pip reaches a package index that has it, or install "
            "a released version of transformers, and run this again."
        )
    return archives[0]


def extract(archive: Path, folder: Path) -> None:
    """Extracts what is in the archive's `tests` folder."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            parts = Path(member.name).parts
            if member.isfile() and parts[1:2] == ("tests",):
                member.name = "/".join(parts[2:])
                tar.extract(member, folder, filter="data")
    if not (folder / "test_modeling_common.py").exists():
        sys.exit(f"{archive.name} has no tests/test_modeling_common.py: this release ships no common tests to run.")


def summarize(report: Path) -> str:
    """Counts per test class and groups the reasons of skipped tests. A test with a skipped subtest counts as skipped.

    Args:
        report: The JUnit XML file that pytest wrote.
    """
    outcomes, reasons = {}, {}
    for case in ElementTree.parse(report).iter("testcase"):
        test = (case.get("classname", "").rpartition(".")[2], case.get("name", ""))
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        outcomes[test] = min(outcome, outcomes.get(test, outcome), key=["failed", "skipped", "passed"].index)
        for child in case.iter("skipped"):
            reasons[test] = child.get("message", "no reason given")
    lines = []
    for name in sorted({name for name, _ in outcomes}):
        counts = Counter(outcome for (owner, _), outcome in outcomes.items() if owner == name)
        lines.append(f"{name}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    if reasons:
        lines.append("Reasons of the skipped tests:")
    lines += [f"{count:5d}  {reason}" for reason, count in Counter(reasons.values()).most_common()]
    return "\n".join(lines)


def main() -> int:
    """Fetches, runs and reports.

    Returns:
        The exit code of pytest.
    """
    missing = [name for name in ("pytest", "parameterized") if find_spec(name) is None]
    if missing:
        sys.exit(f"The common tests need {' and '.join(missing)}: install the extras with `pip install -e .[dev]`.")
    folder = fetch(version("transformers"))
    paths = [str(REPO / "src"), str(folder), os.environ.get("PYTHONPATH", "")]
    fixed = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "HF_HUB_OFFLINE": "1"}
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | fixed  # tiny tensors: threads would only wait for each other
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        # our options and conftest are for our own tests: theirs bring markers and warnings that we don't declare
        ours_off = ["-o", "addopts=", "-o", "filterwarnings=ignore", f"--confcutdir={HERE}"]
        command = [sys.executable, "-m", "pytest", "-q", *ours_off, f"--junitxml={report}", *sys.argv[1:], str(TESTS)]
        code = subprocess.run(command, cwd=REPO, env=environment).returncode
        if report.exists():
            print(summarize(report))
    return code


if __name__ == "__main__":
    sys.exit(main())
