"""What setup.cfg promises is what CI installs."""

import configparser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]


def lowest(requirement):
    return min(Version(each.version) for each in requirement.specifier if each.operator in (">=", "=="))


def test_the_oldest_constraints_are_the_lower_bounds_of_setup_cfg():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    lists = [config["options"]["install_requires"]]
    lists += [names for extra, names in config["options.extras_require"].items() if extra not in ("dev", "upstream")]
    promised = {each.name: lowest(each) for each in map(Requirement, "".join(lists).split())}
    lines = (REPOSITORY / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    tested = [Requirement(line) for line in lines if not line.startswith("#")]
    assert {each.name: lowest(each) for each in tested} == promised
    assert all({item.operator for item in each.specifier} == {"=="} for each in tested)
