"""A report that is served while it grows: to whom, how it changes, and what is left."""

import contextlib
import threading
from pathlib import Path

import pytest
import requests
from commands import command, start

from lenet import records, runs
from lenet.config import Config
from lenet.data import synthetic
from lenet.errors import RecordError
from lenet.report import live, of_directory, page

TINY = Config(dataset="synthetic", channels=(2, 3), hidden=(8,), batch_size=64, epochs=2, lr=0.5)


@contextlib.contextmanager
def events(address: str):
    """The events of a page, as (name, data)."""
    with requests.get(f"{address}events", stream=True, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = answer.iter_lines(decode_unicode=True)

        def told():
            while True:
                name, data, _ = (next(lines) for _ in range(3))
                yield name.removeprefix("event: "), data.removeprefix("data: ")

        yield told()


def read(address: str, **headers: str) -> requests.Response:
    return requests.get(address, headers=headers, timeout=30)


def test_a_page_is_rendered_once_for_each_change_and_ends_as_the_file(tmp_path):
    left = tmp_path / "report.html"
    left.write_bytes(b"left")
    made = []

    def render() -> bytes:
        made.append(threading.get_ident())
        if len(made) == 2:
            raise RecordError("is being written")
        return b"page %d" % len(made)

    with live.serving(render, b"empty") as served:
        assert read(served.address).content == b"empty"
        with events(served.address) as told:
            assert next(told) == ("change", "")
            for expected in (b"page 1", b"page 1", b"page 3"):  # nothing to show the second time
                served.changed()
                assert next(told) == ("change", "")
                assert read(served.address).content == expected
                assert read(served.address).content == expected
            ended = threading.Thread(target=served.end, args=(left,))
            ended.start()
            assert next(told) == ("end", str(left))
            assert read(served.address).content == b"left"
            assert ended.is_alive()  # whoever was told asks a last time
            assert read(f"{served.address}?last").content == b"left"
            ended.join()
    assert len(made) == 3
    assert threading.get_ident() not in made  # training does not render
    with pytest.raises(requests.ConnectionError):
        read(served.address)


def test_the_end_waits_for_nobody_where_nobody_looks(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "LAST", 600)  # if it waits
    with live.serving(lambda: b"", b"") as served:
        with events(served.address) as told:
            next(told)
        served.end(tmp_path)


def test_only_who_has_the_address_is_answered():
    with live.serving(lambda: b"", b"page") as served:
        base, port = served.address.rsplit("/", 2)[0], served.address.split(":")[2].split("/")[0]
        assert served.address.startswith("http://127.0.0.1:")
        assert [read(f"{base}{path}").status_code for path in ("/", "/events", "/x/")] == [404] * 3
        for name in ("", "events"):
            for headers in (
                {"Host": f"evil.example:{port}"},
                {"Host": "127.0.0.1:1"},
                {"Origin": "http://evil.example"},
                {"Origin": "null"},
            ):
                assert read(f"{served.address}{name}", **headers).status_code == 403
        answer = read(served.address, Host=f"localhost:{port}", Origin=f"http://localhost:{port}")
        assert answer.content == b"page"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.slow
def test_what_a_visitor_has_in_hand_stays_while_the_network_learns(browser, tmp_path):
    """Charts and views are the same elements of the page to the end; what they show is not."""
    run = runs.begin(tmp_path / "run", TINY, synthetic.make(300, 60))
    show = page.render(page.Report("live.html", "run", []), live=True)

    def render() -> bytes:
        return page.render(of_directory.report(run.directory, run.data, brief=True), live=True)

    complaints: list[str] = []
    with live.serving(render, show) as served:
        tab = browser.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(served.address)
        tab.wait_for_selector("html[data-grown]")
        assert tab.locator("section").count() == 0
        shown = {}
        for row in run.epochs():
            before = int(tab.locator("html").get_attribute("data-grown"))
            served.changed()
            tab.wait_for_selector(f'html[data-grown="{before + 1}"]')
            assert f"{row.test_accuracy:.3f}" in tab.title()
            if row.epoch == 1:
                tab.evaluate(
                    "window.held = [...document.querySelectorAll("
                    "'figure.chart, [data-view], [data-view] canvas, [data-epochs] input')]"
                )
                tab.locator('.view[data-view="own"] select').first.select_option(index=3)
                tab.locator("#time input").fill("0")
            assert tab.locator("#time output").inner_text() == "Before training"
            assert tab.evaluate("held.length > 10 && held.every((each) => each.isConnected)")
            own = tab.locator('.view[data-view="own"]')
            assert own.locator("select").first.evaluate("each => each.selectedIndex") == 3
            shown[row.epoch] = own.locator("canvas").nth(2).evaluate("each => each.toDataURL()")
        assert shown[1] != shown[2]
        tab.locator("#time input").press("End")
        left = run.directory / "report.html"
        left.write_bytes(page.render(of_directory.report(run.directory, run.data)))
        served.end(left)
        tab.wait_for_selector("html[data-ended]")
        assert str(left) in tab.locator("#live").inner_text()
        assert tab.evaluate("held.every((each) => each.isConnected)")
        grown = tab.locator("main").inner_text()
        tab.close()
    assert complaints == []
    tab = browser.new_page()
    tab.goto(left.as_uri())
    tab.wait_for_selector("html[data-ready]")
    tab.locator('.view[data-view="own"] select').first.select_option(index=3)
    assert tab.locator("main").inner_text() == grown
    tab.close()


def test_a_command_that_dies_is_said_to_have_ended(browser):
    with live.serving(lambda: b"", page.render(page.Report("live.html", "x", []), live=True)) as it:
        tab = browser.new_page()
        tab.goto(it.address)
        tab.wait_for_selector("html[data-grown]", state="attached", timeout=5000)
    tab.locator("#live", has_text="Disconnected").wait_for()
    tab.close()


def test_without_a_report_there_is_nothing_to_show():
    done = command("train", "--live", "--noreport")
    assert (done.returncode, done.stderr.splitlines()) == (
        2,
        ["error: --live: shows the report while it grows. Remove --noreport"],
    )


GROWING = {
    "train": ["--epochs=3"],
    "sweep": ["--lr=0.05,0.1", "--seed=0:3", "--epochs=2"],
    "search": ["--lr=0.01..0.1:log", "--trials=3", "--epochs=2", "--valid=50"],
}


@contextlib.contextmanager
def growing(name: str, tiny: Path, place: Path):
    """The command with --live, and its address: it opens a browser that writes down what it got."""
    opener = place / "browser"
    opener.write_text(f'#!/bin/sh\necho "$1" > {place}/opened\n')
    opener.chmod(0o755)
    flags = [*GROWING[name], "--dataset=tiny", f"--data_dir={tiny}", "--batch_size=50"]
    run = ["-m", f"experiments.{name}", "--live", f"--run_dir={place / 'run'}", *flags]
    with start(*run, env={"BROWSER": f"{opener} %s", "LANG": "C", "LC_ALL": ""}) as process:
        told = (line for line in process.stdout if line.startswith("live report: "))
        address = next(told, "")
        assert address, process.stderr.read()
        yield process, address.split()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", GROWING)
def test_a_command_serves_what_it_leaves(name, tiny, tmp_path):
    """A browser that is there opens the address, and the page ends as the file."""
    file = tmp_path / "run" / "report.html"
    with growing(name, tiny, tmp_path) as (process, address):
        with events(address) as told:
            seen = [next(told)]
            while seen[-1][0] == "change":
                assert read(address).status_code == 200
                seen.append(next(told))
        assert seen[-1] == ("end", str(file))
        assert len(seen) > 2
        last = read(f"{address}?last").content
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert last == file.read_bytes()
    assert (tmp_path / "opened").read_text().strip() == address
    assert records.exists(tmp_path / "run", "report.html")
    assert "report: " in out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweep", "search"])
def test_the_table_of_many_runs_grows_in_the_browser(name, browser, tiny, tmp_path):
    """Settings come while one looks, and the page ends as the file does, without a complaint."""
    complaints: list[str] = []
    tab = browser.new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    with growing(name, tiny, tmp_path) as (process, address):
        tab.goto(address)
        rows = [tab.locator("main tbody tr").count()]
        for _ in range(2400):  # two minutes, if nothing ends it
            rows.append(tab.locator("main tbody tr").count())
            if tab.evaluate("'ended' in document.documentElement.dataset"):
                break
            tab.wait_for_timeout(50)
        grown = tab.locator("main").inner_text()
        process.communicate()
    assert process.returncode == 0
    assert rows[0] < rows[-1]
    tab.goto((tmp_path / "run" / "report.html").as_uri())
    tab.wait_for_selector("html[data-ready]")
    assert tab.locator("main").inner_text() == grown
    tab.close()
    assert complaints == []


def test_pages_that_do_not_grow_ask_nobody(tmp_path):
    content = page.render(page.Report("live.html", "x", []))
    assert b"connect-src" not in content
    assert b"EventSource" not in content
    assert Path(page.__file__).with_name(page.LIVE).exists()
