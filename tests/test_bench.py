"""The harness: cases give right answers, wrong ones are noticed, results are kept and compared. Nothing is timed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from quotasim.bench import cases, pictures, results, runner, tables
from quotasim.bench.case import SIZES, Case, Contender, Prepared, missing
from quotasim.bench.clock import Timing, in_turns, race
from quotasim.bench.machine import machine_info
from quotasim.errors import InputRejected, InvalidValue, WrongAnswer

from . import bench_table
from .commands import quotasim

REFERENCES = 20_000


def contender(name="quotasim", role="ours", *, answer=1, expected=1, **changes):
    said = []

    def run(value):
        said.append(value)
        return answer

    made = Contender(
        name=name, role=role, run=run, setup=lambda: (len(said),), check=lambda found: found == expected, **changes
    )
    return made, said


def prepared(*contenders):
    return Prepared(items=1_000, contenders=contenders, figures={"blobs": 7})


def result(*rows):
    return results.Result(
        machine={"cpu": "a CPU", "usable_cpus": 2, "python": "3.11.7", "commit": "0123456789ab"},
        command="quotasim bench --size S",
        computed_at="2026-01-02T03:04:05+00:00",
        size="S",
        rows=rows,
    )


def row(contender="quotasim", role="ours", *, case="replay", seconds=(2.0, 1.0, 4.0), references=100_000, **changes):
    plain = results.Row(
        case=case,
        suite="replay",
        title="replay",
        unit="references",
        references=references,
        contender=contender,
        role=role,
        items=1_000,
        bytes=None,
        seconds=seconds,
        peak_bytes=4_096,
        slower_by_best=None if role == "ours" else 5.0,
        slower_by_median=None if role == "ours" else 4.5,
        target=None,
        figures={"blobs": 7},
    )
    return replace(plain, **changes)


# -- cases ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_every_contender_of_every_case_gives_the_right_answer(case):
    built = case.prepare(REFERENCES)
    assert built.items > 0
    assert [one.role for one in built.contenders].count("ours") == 1
    assert built.contenders[0].role == "ours"
    names = [one.name for one in built.contenders]
    assert len(set(names)) == len(names)
    for one in built.contenders:
        if not missing(one):
            with one.around():
                assert one.check(one.run(*one.setup())), one.name


@pytest.mark.parametrize("name", ["intern", "replay-namespace", "mark", "recount", "rows-namespace", "exclusive"])
def test_a_wrong_answer_is_noticed_by_the_check_of_a_case(name):
    built = cases.by_name(name).prepare(REFERENCES)
    other = cases.by_name(name).prepare(REFERENCES // 2)
    ours, its = built.contenders[0], other.contenders[0]
    assert not ours.check(its.run(*its.setup()))


def test_names_of_cases_are_unique_and_unknown_ones_are_refused():
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)
    assert {case.suite for case in cases.of_suite("gc")} == {"gc"}
    assert cases.of_suite(None) == cases.CASES
    with pytest.raises(InvalidValue, match="replay-namespace"):
        cases.by_name("nothing")
    with pytest.raises(InvalidValue, match="replay"):
        cases.of_suite("nothing")


# -- the clock -----------------------------------------------------------------------------------------


def test_ours_runs_before_each_round_of_another_on_fresh_arguments():
    ours, said = contender(rounds=2)
    peer, heard = contender("dicts", "peer", rounds=3)
    timings = race(prepared(ours, peer))
    assert [len(timing.seconds) for timing in timings] == [4, 3]  # once to begin with, and once a round
    assert (said, heard) == ([0, 1, 2, 3], [0, 1, 2])
    assert all(timing.best <= timing.median for timing in timings)
    assert [len(timing.seconds) for timing in race(prepared(ours), rounds=5)] == [5]


def test_a_wrong_answer_stops_the_race():
    ours, _ = contender()
    peer, _ = contender("dicts", "peer", answer=2)
    with pytest.raises(WrongAnswer, match="dicts"):
        race(prepared(ours, peer))


def test_what_is_not_installed_is_left_out_by_name():
    ours, _ = contender()
    peer, heard = contender("cloud", "peer", needs=("no_such_module", "numpy"))
    timings = race(prepared(ours, peer))
    assert timings[1].absent == ("no_such_module",)
    assert (timings[1].seconds, heard) == ((), [])


def test_ratios_are_best_by_best_and_median_by_median():
    assert in_turns((4.0, 2.0, 9.0), (1.0, 3.0, 2.0)) == (2.0, 2.0)
    timing = Timing(contender()[0], (3.0, 1.0, 2.0))
    assert (timing.best, timing.median) == (1.0, 2.0)


# -- the runner ----------------------------------------------------------------------------------------


def small_case(**changes):
    ours, _ = contender()
    peer, _ = contender("dicts", "peer", target=2)
    absent, _ = contender("cloud", "peer", needs=("no_such_module",))
    plain = Case(
        name="small",
        suite="replay",
        title="a small case",
        unit="references",
        prepare=lambda references: replace(prepared(ours, peer, absent), items=references),
    )
    return replace(plain, **changes)


def test_a_run_has_a_row_for_each_contender_and_decade():
    said = []
    found = runner.run([small_case()], "S", command="quotasim bench", rounds=2, progress=said.append)
    assert [(one.references, one.contender) for one in found.rows] == [
        (size, name) for size in (10_000, 100_000) for name in ("quotasim", "dicts", "cloud")
    ]
    assert said == ["a small case, 10,000 references", "a small case, 100,000 references"]
    ours, peer, absent = found.rows[3:]
    assert (ours.items, ours.role, ours.slower_by_best) == (100_000, "ours", None)
    assert (peer.target, peer.figures) == (2, {"blobs": 7})
    assert peer.slower_by_best == pytest.approx(min(peer.seconds) / min(ours.seconds))
    assert (absent.seconds, absent.best, absent.median, absent.items_per_second) == ((), None, None, None)
    assert absent.absent == ("no_such_module",)
    alone = runner.run([small_case()], "S", command="", curve=False, rounds=1)
    assert {one.references for one in alone.rows} == {100_000}
    ours_only = runner.run([small_case()], "S", command="", curve=False, peers=False, rounds=1)
    assert [one.role for one in ours_only.rows] == ["ours"]


def test_a_case_is_not_run_beyond_its_largest_size():
    found = runner.run([small_case(largest=10_000)], "S", command="", rounds=1)
    assert {one.references for one in found.rows} == {10_000}
    with pytest.raises(InvalidValue, match="S, M, L, XL"):
        runner.run([], "XS", command="")


def test_sizes_are_decades():
    assert runner.sizes_up_to(SIZES["M"]) == [10_000, 100_000, 1_000_000, 10_000_000]
    assert runner.sizes_up_to(10_000) == [10_000]


def test_the_machine_is_named():
    info = machine_info()
    assert json.loads(json.dumps(info)) == info
    assert info["usable_cpus"] >= 1
    assert info["libraries"]["numpy"]


# -- results -------------------------------------------------------------------------------------------


def test_a_result_is_read_as_it_was_written(tmp_path):
    found = result(row(), row("dicts", "peer", absent=("polars",), seconds=(), slower_by_best=None))
    results.write_result(found, tmp_path / "result.json")
    assert results.read_result(tmp_path / "result.json") == found


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 0}', '{"schema_version": 1, "rows": [{}]}'])
def test_what_is_no_result_is_rejected(tmp_path, content):
    place = tmp_path / "result.json"
    place.write_text(content)
    with pytest.raises(InputRejected, match=r"result\.json"):
        results.read_result(place)
    with pytest.raises(InputRejected, match="cannot be read"):
        results.read_result(tmp_path / "nowhere.json")


def test_a_change_is_that_of_ours_less_that_of_the_machine():
    before = result(row(seconds=(1.0, 2.0)), row("dicts", "peer", seconds=(10.0,)), row(case="alone", seconds=(4.0,)))
    after = result(row(seconds=(3.0, 9.0)), row("dicts", "peer", seconds=(20.0,)), row(case="alone", seconds=(8.0,)))
    changes = results.compare(before, after)
    assert [(one.case, one.before, one.after, one.drift) for one in changes] == [
        ("replay", 1.0, 3.0, 2.0),
        ("alone", 4.0, 8.0, 2.0),  # it has no peer: the machine became slower for all
    ]
    assert [one.change for one in changes] == [1.5, 1.0]


def test_results_without_a_case_in_common_cannot_be_compared():
    with pytest.raises(InvalidValue, match="in common"):
        results.compare(result(row()), result(row(case="mark")))
    assert len(results.compare(result(row(), row(case="mark")), result(row(case="mark")))) == 1


def test_the_table_has_every_case_with_a_peer_at_its_largest_size():
    found = result(
        row(references=10_000),
        row("dicts", "peer", references=10_000),
        row(seconds=(0.5,)),
        row("dicts", "peer", target=20),
        row("C", "limit", slower_by_best=0.8, slower_by_median=0.9),
        row("polars", "peer", absent=("polars",), seconds=(), slower_by_best=None),
        row(case="alone"),
    )
    lines = tables.markdown(found).split("\n")
    assert lines[2:6] == [
        "| replay | **quotasim** | 0.5 s | 2 k references/s |  |",
        "|  | dicts | 1 s | 1 k references/s | 5 (4.5), aimed at 20 |",
        "|  | limit: C | 1 s | 1 k references/s | 0.8 (0.9) |",
        "|  | polars |  |  | left out: no polars |",
    ]
    assert lines[-1].startswith("Size S (100,000 references), 2026-01-02: a CPU, 2 CPUs, Python 3.11.7, commit 0123")


def test_the_table_of_cases_alone_has_the_others():
    found = result(row(), row("dicts", "peer"), row(case="alone", seconds=(0.5, 0.7, 0.6)))
    lines = tables.markdown_alone(found).split("\n")
    assert lines[2:] == ["| replay | 100,000 | 0.5 s | 0.6 s | 2 k references/s | 4.0 KiB |"]


@pytest.mark.parametrize("page", [bench_table.README, bench_table.PERFORMANCE], ids=lambda page: page.name)
def test_the_tables_of_the_pages_are_those_of_the_result_that_is_kept(page):
    assert bench_table.filled(page, results.read_result(bench_table.RESULT)) == page.read_text()


def test_pictures_are_drawn_of_curves_and_of_ratios(tmp_path):
    found = result(
        *(row(references=size, seconds=(size / 1e7,)) for size in (10_000, 100_000)),
        row("dicts", "peer", references=10_000, seconds=(0.1,)),
        row("dicts", "peer", target=3),
        row("C", "limit", slower_by_best=0.8, slower_by_median=0.9),
        row(case="once"),
    )
    written = pictures.draw(found, tmp_path)
    assert [path.name for path in written] == ["replay.png", "ratios.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_result_and_pictures(tmp_path):
    done = quotasim("bench", "--suite", "digests", "--rounds", "1", "--out", str(tmp_path / "out"))
    assert done.code == 0
    assert "times as long as ours by best round" in done.out
    assert "pyarrow dictionary_encode" in done.out
    found = results.read_result(tmp_path / "out" / "result.json")
    assert found.command == "quotasim bench --suite digests --size S --rounds 1"
    assert {one.references for one in found.rows} == {10_000, 100_000}
    assert (tmp_path / "out" / "intern.png").exists()


def test_the_command_compares_two_results_and_fails_where_ours_became_slower(tmp_path):
    for name, seconds in (("before", 1.0), ("after", 1.5)):
        results.write_result(result(row(seconds=(seconds,)), row("dicts", "peer")), tmp_path / f"{name}.json")
    before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
    assert quotasim("bench", "compare", before, before).code == 0
    assert quotasim("bench", "compare", after, before, "--threshold", "0").code == 0
    slower = quotasim("bench", "compare", before, after, "--format", "json")
    assert slower.code == 99
    assert "the time of replay in per cent is 50.0, and may be at most 20" in slower.err
    assert json.loads(slower.out)["rows"][0]["change"] == pytest.approx(1.5)
    assert quotasim("bench", "compare", before, after, "--threshold", "60").code == 0
    assert quotasim("bench", "compare", before, str(tmp_path / "nowhere.json")).code == 3


def test_the_command_refuses_an_unknown_suite():
    done = quotasim("bench", "--suite", "nothing")
    assert done.code == 2
    assert "replay" in done.err
