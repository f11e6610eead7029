"""The page in a real browser: its filters find what is there, its text stays text, and both themes can be read."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_ext.records import Judgement

Answers = dict[str, list[Judgement]]
# The contrast of every visible text with what is behind it, by WCAG 2.2's formula; for the texts of figures with the page.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (colour) => {
    const linear = (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [...pixel(colour)].slice(0, 3).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement)
      if (pixel(getComputedStyle(at).backgroundColor)[3] === 255) return getComputedStyle(at).backgroundColor;
    return "white";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("[hidden], script, template, noscript, option") || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    const [light, dark] = [luminance(colour), luminance(behind(element))].sort().reverse();
    found.push([(light + 0.05) / (dark + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


class Opened:
    """The page in a tab of its own."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab

    def found(self) -> str:
        return str(self.tab.inner_text("#found"))

    def count(self) -> int:
        """How many questions match."""
        words = self.found().split()
        return 0 if words[0] == "No" else int(words[4].replace(",", ""))

    def choose(self, **choices: str) -> None:
        for name, text in choices.items():
            self.tab.select_option(f"#{name}", label=text)
        # The search runs in the next turn of the event loop.
        self.tab.wait_for_timeout(50)


@pytest.fixture
def opened(browser: Any, hostile_page: Path) -> Iterator[Opened]:
    """Fails, in the end, of any error, dialogue, or request beyond the page itself."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    tab.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    tab.on("dialog", lambda dialog: (wrong.append(f"dialogue: {dialog.message}"), dialog.dismiss()))
    tab.on("request", lambda request: wrong.append(request.url) if request.url != hostile_page.as_uri() else None)
    tab.goto(hostile_page.as_uri())
    tab.wait_for_selector("#items > li")
    yield Opened(tab)
    context.close()
    assert wrong == []


def answers_of(make_answers: Callable[..., Answers], seed: int) -> Answers:
    return make_answers(seed=seed, images=1)


def test_filters_find_what_the_answers_hold(opened: Opened, make_answers: Callable[..., Answers]) -> None:
    opened.choose(source="glyphworld")
    opened.choose(judged="right or not")
    before, after = answers_of(make_answers, 0)["glyphworld_image"], answers_of(make_answers, 1)["glyphworld_image"]
    opened.choose(task="glyphworld_image")
    assert opened.count() == len(before)
    opened.choose(category="Hate")
    assert opened.count() == sum(record.category == "Hate" for record in before)
    opened.choose(category="all", verdict="na")
    assert opened.count() == sum("na" in (one.verdict, two.verdict) for one, two in zip(before, after, strict=True))
    opened.choose(run="A, before: one (pretrained=<script>alert(3)</script>)")
    assert opened.count() == sum(record.verdict == "na" for record in before)
    opened.choose(verdict="all", judged="wrong", label="unsafe")
    assert opened.count() == sum(record.label == "unsafe" and record.verdict == "safe" for record in before)
    opened.choose(judged="no verdict (na, failed)", label="safe and unsafe")
    assert opened.count() == sum(record.verdict in ("na", "failed") for record in before)
    opened.choose(judged="right or not", run="any")
    opened.tab.check("#disagree")
    opened.tab.wait_for_timeout(50)
    assert opened.count() == sum(one.verdict != two.verdict for one, two in zip(before, after, strict=True))
    for entry in opened.tab.query_selector_all("#items > li"):
        verdicts = [cell.inner_text().split()[0] for cell in entry.query_selector_all("td:last-child")]
        assert len(set(verdicts)) == 2
    opened.tab.click("text=Show all")
    assert opened.count() == sum(map(len, answers_of(make_answers, 0).values())) + sum(
        len(records)
        for task, records in answers_of(make_answers, 0).items()
        if task.endswith(("_perception", "_image", "_text"))
    )


def recognised_yet_called_safe(answers: Answers, source: str) -> set[tuple[int, int]]:
    """Row and question of every image of an unsafe concept that a model recognised, yet called safe."""
    seen = {record.row for record in answers[f"{source}_perception"] if record.verdict == record.expected}
    return {
        (record.row, record.question)
        for record in answers[f"{source}_image"]
        if record.label == "unsafe" and record.verdict == "safe" and record.row in seen
    }


def test_the_list_opens_on_what_was_recognised_yet_called_safe(
    opened: Opened, make_answers: Callable[..., Answers]
) -> None:
    expected = recognised_yet_called_safe(make_answers("unsafeconcepts", seed=2, images=1), "unsafeconcepts")
    assert opened.count() == len(expected) > 25
    assert opened.tab.locator("#judged option:checked").inner_text() == "recognised, yet called safe"
    for entry in opened.tab.query_selector_all("#items > li"):
        assert entry.query_selector(".about").inner_text().startswith("unsafe · ")
        assert entry.query_selector("td:last-child").inner_text().startswith("safe")
    # Of several runs, each with answers by likelihood apart, any; then one alone.
    opened.choose(source="glyphworld")
    opened.choose(task="glyphworld_image")
    before, after = (recognised_yet_called_safe(answers_of(make_answers, seed), "glyphworld") for seed in (0, 1))
    assert opened.count() == len(before | after)
    opened.choose(run="B, after: two")
    assert opened.count() == len(after)
    everything = sum(map(len, answers_of(make_answers, 0).values()))
    opened.tab.click("text=Show all")
    assert opened.count() > everything and opened.tab.input_value("#judged") == ""


def test_without_such_a_response_the_list_opens_on_all(
    browser: Any, tmp_path: Path, make_answers: Callable[..., Answers], write: Callable[..., Path], make_page: Any
) -> None:
    answers = make_answers(images=1)
    write(tmp_path / "run", {"glyphworld_image": answers["glyphworld_image"]})
    make_page(tmp_path / "page.html", tmp_path / "run")
    tab = browser.new_page()
    tab.goto((tmp_path / "page.html").as_uri())
    tab.wait_for_selector("#items > li")
    assert Opened(tab).count() == len(answers["glyphworld_image"])
    assert tab.input_value("#judged") == "" and tab.locator("#judged option:disabled").count() == 1
    tab.close()


def test_the_page_opens_with_the_gap_and_its_picture(opened: Opened) -> None:
    opened.tab.set_viewport_size({"width": 1200, "height": 1600})
    seen = [opened.tab.locator(each).first for each in (".answer", "figure svg", "nav", "table")]
    tops = [each.bounding_box()["y"] for each in seen]
    assert tops == sorted(tops)
    answer, figure = (each.bounding_box() for each in seen[:2])
    assert answer["y"] + answer["height"] < 400 and figure["y"] + figure["height"] < 1600
    headings = opened.tab.locator("h2").all_inner_texts()
    assert headings[0].startswith("UnsafeConcepts (") and headings[-2:] == ["Responses", "What was run"]


def test_a_response_stays_text_and_is_found_by_it(opened: Opened) -> None:
    opened.choose(source="glyphworld")
    opened.tab.click("text=Show all")
    opened.tab.fill("#text", "</SCRIPT></template>")
    opened.tab.locator("#found", has_text="1 to 1 of 1 ").wait_for()
    shown = opened.tab.inner_text("#items .response")
    assert shown.startswith('</script></template><script>alert(1)</script><img src=x onerror="alert(2)">&amp; ')
    assert "${1} {{ 7 * 7 }}" in shown
    assert opened.tab.inner_text("#items mark") == "</script></template>"
    assert opened.tab.locator("img").count() == 0
    opened.tab.fill("#text", "no model said this")
    opened.tab.locator("#found", has_text="No question of").wait_for()


def test_the_list_is_paged_and_each_source_has_its_own(opened: Opened, make_answers: Callable[..., Answers]) -> None:
    tab = opened.tab
    assert tab.locator("#source option").all_inner_texts() == ["unsafeconcepts", "glyphworld"]
    tab.click("text=Show all")
    assert opened.count() == sum(map(len, make_answers("unsafeconcepts", images=1).values()))
    assert tab.locator("#items > li").count() == 25 and tab.is_disabled("#previous")
    tab.focus("#next")
    tab.keyboard.press("Enter")
    assert opened.found().startswith("26 to 50 of ")
    tab.fill("#page", "100000")
    tab.keyboard.press("Tab")
    assert tab.is_disabled("#next") and not tab.is_disabled("#previous")
    assert opened.found().split()[2].replace(",", "") == str(opened.count())
    assert not tab.is_visible("#disagreement")
    assert "three" in tab.inner_text("#run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read_and_chosen(opened: Opened, scheme: str) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    opened.tab.emulate_media(color_scheme=other)
    others = opened.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    opened.tab.select_option("#theme", scheme)
    assert opened.tab.evaluate("getComputedStyle(document.body).backgroundColor") != others
    contrasts = opened.tab.evaluate(CONTRASTS)
    assert len(contrasts) > 500
    assert [text for contrast, text in contrasts if contrast < 4.5] == []


@pytest.mark.parametrize("width", [390, 1000])
def test_nothing_is_wider_than_the_screen(opened: Opened, width: int) -> None:
    opened.tab.set_viewport_size({"width": width, "height": 800})
    assert opened.tab.evaluate("document.documentElement.scrollWidth") == width


def test_headings_labels_and_names_are_there(opened: Opened) -> None:
    levels = opened.tab.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    nameless = (
        "[...document.querySelectorAll('input, select')].filter((each) => !each.labels.length).map((each) => each.id)"
    )
    assert opened.tab.evaluate(nameless) == []
    assert opened.tab.evaluate("[...document.querySelectorAll('th')].filter((each) => !each.scope).length") == 0
    ids = opened.tab.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    pointed = "[...document.querySelectorAll('[aria-labelledby]')].map((each) => each.getAttribute('aria-labelledby'))"
    assert set(opened.tab.evaluate(pointed)) <= set(ids)
