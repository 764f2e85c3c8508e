"""CREMA-D's tables: listeners' votes for the voice, and facts of the actors. Columns are those of its repository."""

import json

import pytest

from exhubert.emoset import entry, read
from exhubert.emoset.record import Vote

from ..conftest import touch

LEVELS = ",".join(f'"{name}"' for name in ("meanEmoResp", "meanAngerResp"))
TABULATED = f""""","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote",{LEVELS}
"100009",5,5,0,0,1,1,"1001_IEO_ANG_MD",12,0.416666666666667,"A:D",50.5833333333333,37.2
"200009",9,0,0,0,1,0,"1001_IEO_ANG_MD",10,0.9,"A",60,60
"300009",0,0,0,0,0,8,"1001_IEO_ANG_MD",8,1,"S",60,-1
"""
FINISHED = (
    '"","localid","pos","ans","ttr","queryType","numTries","clipNum","questNum","subType","clipName","sessionNums",'
    '"respEmo","respLevel","dispEmo","dispVal","dispLevel"\n'
    '"1","rater1",1,"A_80",1,1,0,9,1,4,"1001_IEO_ANG_MD",1,"A",80,"A","MD",50\n'
    '"2","rater2",1,"N_60",1,1,0,9,1,4,"1001_IEO_ANG_MD",1,"N",60,"A","MD",50\n'
    '"3","rater1",2,"S_60",1,3,0,9,1,4,"1001_IEO_ANG_MD",1,"S",60,"A","MD",50\n'
)
SUMMARY = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
    '"1","1001_IEO_ANG_MD","A:D","37.2:58.6","A",60,"S",60\n'
)
PEOPLE = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'


@pytest.fixture
def root(tmp_path):
    touch(tmp_path, "AudioWAV/1001_IEO_ANG_MD.wav", "AudioWAV/1091_DFA_NEU_XX.wav")
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "VideoDemographics.csv").write_text(PEOPLE)
    (tmp_path / "processedResults/summaryTable.csv").write_text(SUMMARY)
    (tmp_path / "processedResults/tabulatedVotes.csv").write_text(TABULATED)
    return tmp_path


def test_votes_for_the_voice_are_counted_under_the_labels_in_the_names(root):
    first, second = read("crema_d", root)
    assert first.votes == (
        Vote(None, "ANG", count=5),
        Vote(None, "DIS", count=5),
        Vote(None, "NEU", count=1),
        Vote(None, "SAD", count=1),
    )
    assert {vote.label for vote in first.votes} <= entry("crema_d").labels.keys() and second.votes == ()


def test_answers_of_each_listener_come_before_the_counts(root):
    (root / "finishedResponses.csv").write_text(FINISHED)
    assert next(read("crema_d", root)).votes == (Vote("rater1", "ANG"), Vote("rater2", "NEU"))


def test_the_majority_and_facts_of_the_actor_are_kept(root):
    first, second = read("crema_d", root)
    assert json.loads(first.other) == {
        "voice_vote": "A:D",
        "voice_level": "37.2:58.6",
        "race": "Caucasian",
        "ethnicity": "Not Hispanic",
    }
    assert second.other is None and (second.age, second.gender) == ("29", "female")


@pytest.mark.parametrize(
    "content",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 4057953\n",  # not fetched
        '"A","D","F","H","N","S","fileName"\n5,5,0,0,1,1,"1001_IEO_ANG_MD"\n',  # which of voice and face isn't said
    ],
)
def test_a_table_that_is_not_what_it_should_be_is_named_and_costs_only_the_votes(root, content, caplog):
    (root / "processedResults/tabulatedVotes.csv").write_text(content)
    first, _ = read("crema_d", root)
    assert first.votes == () and first.raw_label == "ANG"
    assert "tabulatedVotes.csv" in caplog.text and "isn't used" in caplog.text


def test_votes_without_an_answer_are_none_and_names_may_have_another_case_and_an_ending(root):
    table = root / "finishedResponses.csv"
    answers = [("a", "1001_ieo_ang_md.wav", "A"), ("", "1001_IEO_ANG_MD", "s"), ("c", "1001_IEO_ANG_MD", "")]
    lines = [f"{rater},1,{name},{answer}" for rater, name, answer in answers]
    table.write_text("\n".join(["localid,queryType,clipName,respEmo", *lines]) + "\n")
    first, _ = read("crema_d", root)
    assert [(vote.rater, vote.label) for vote in first.votes] == [("a", "ANG"), (None, "SAD")]
    table.unlink()
    (root / "processedResults/tabulatedVotes.csv").write_text(
        "id,A,D,F,H,N,S,fileName\n100001,-1,0,x,0,2,0,1001_ieo_ang_md\n"
    )
    first, _ = read("crema_d", root)
    assert [(vote.label, vote.count) for vote in first.votes] == [("NEU", 2)]
