"""Plots: which curves there are, where points lie, and that the file shows them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from io import BytesIO
from math import isnan, log, nan
from statistics import stdev
from xml.etree import ElementTree

import pytest
from PIL import Image

from fac.diagnostics import FacError
from fac.plugins import kinds
from fac.render.graph.image import convert
from fac.render.graph.pens import TONES
from fac.render.graph.picture import Area, Picture
from fac.render.graph.svg import render as as_svg
from fac.render.graph.words import width as wide
from fac.render.plot import Figure, Trial, figure, render
from fac.render.plot.axes import Axis, axis
from fac.render.plot.figure import ALL, RAMP, Curve, Panel, Row, Stroke, split
from fac.render.plot.layout import Below, laid_out, merged
from fac.render.plot.sheet import sheet
from fac.render.plot.thinning import thinned
from fac.render.plot.topics import TOPICS, topic

SPACE = "{http://www.w3.org/2000/svg}"


def rows(shift: float = 0.0, steps: Sequence[int] = (10, 20, 30)) -> tuple[Row, ...]:
    return tuple(
        {
            "epoch": i + 1,
            "step": step,
            "lr": 0.1,
            "train_loss": 2.0 - 0.02 * step + shift,
            "test_loss": 2.1 - 0.02 * step + shift,
            "test_accuracy": None,
            "fc1.error.cosine": 0.01 * step,
            "fc2.error.cosine": None if step == 20 else 0.02 * step,
            "error.cosine": 0.5,
            "fc1.mine": 1e-9 * 10**i,
        }
        for i, step in enumerate(steps)
    )


def one(globs: Sequence[str] = ()) -> Figure:
    return figure([Trial("a", (rows(),))], globs)


def test_each_measure_is_a_panel_and_each_layer_a_curve() -> None:
    found = {panel.title: [curve.label for curve in panel.curves] for panel in one().panels}
    assert found == {
        "loss": ["train", "test"],
        "cosine to true error, by sample": ["fc1", "fc2", ALL],
        "mine": ["fc1"],
    }
    assert dict(one().legend).keys() == {"train", "test", ALL, "fc1", "fc2"}
    assert one().notes == ("`test_accuracy` has no finite value and is left out",)


def test_a_run_that_has_not_made_a_step_is_drawn() -> None:
    found = figure([Trial("a", (rows(steps=(0,)),))])
    assert Below(found).axis == Axis(0.0, 1.0)
    assert render(found, "svg").count(b"<circle") == 6, "two losses, three cosines, and one more"


def test_names_stand_below_their_places() -> None:
    (panel,) = one(["fc1.mine"]).panels
    below = Below(Figure("t", "", (panel,), (), (), "layer", ("a", "b")))
    assert (below.axis, below.ticks) == (Axis(-0.5, 1.5), [(0.0, "a"), (1.0, "b")])


def test_what_is_undefined_is_a_gap() -> None:
    (panel,) = one(["fc2.error.*"]).panels
    values = [mean for _, mean, _, _ in panel.curves[0].points]
    assert values[::2] == [0.2, 0.6]
    assert isnan(values[1])
    (dots,) = (len(re.findall("<circle", text)) for text in [render(one(["fc2.error.*"]), "svg").decode()])
    assert dots == 2  # each stands alone


def test_runs_of_one_setting_are_their_mean_and_deviation() -> None:
    runs = rows(), rows(0.3), rows(0.9)
    (panel,) = figure([Trial("a", runs)], ["train_loss"]).panels
    step, mean, low, high = panel.curves[0].points[1]
    assert step == 20
    assert mean == pytest.approx(1.6 + 0.4)
    assert (high - mean, mean - low) == pytest.approx((stdev([0.0, 0.3, 0.9]),) * 2)


def test_a_shorter_run_ends_the_curve_and_is_told() -> None:
    found = figure([Trial("a", (rows(), rows(steps=(10, 20))))], ["lr"])
    assert [point[0] for point in found.panels[0].curves[0].points] == [10, 20]
    assert found.notes == ("`a`: the shortest of its runs ends at step 20; the rest is left out",)


def test_settings_are_curves_of_one_panel_for_each_name() -> None:
    found = figure([Trial("a", (rows(),)), Trial("b", (rows(1.0),))])
    assert [panel.title for panel in found.panels] == [
        "train loss",
        "test loss",
        "cosine to true error, by sample",
    ]
    assert {tuple(curve.label for curve in panel.curves) for panel in found.panels} == {("a", "b")}
    layer = figure([Trial("a", (rows(),)), Trial("b", (rows(),))], ["fc?.error.cosine"])
    assert [panel.title for panel in layer.panels] == ["fc1.error.cosine", "fc2.error.cosine"]


@pytest.mark.parametrize(
    ("glob", "hint"),
    [("fc1.eror.cosine", "did you mean `fc1.error.cosine`?"), ("zzz*", "there are `lr`, `train_loss`")],
)
def test_a_glob_that_means_nothing_is_refused(glob: str, hint: str) -> None:
    with pytest.raises(FacError, match=re.escape(hint)):
        one([glob])


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(FacError, match="`test_accuracy` have no finite value"):
        one(["test_accuracy"])


def test_many_layers_have_the_colours_of_a_ramp_in_their_order() -> None:
    run: tuple[Row, ...] = ({"step": 1.0, **{f"fc{i}.error.cosine": 0.1 for i in range(40)}},)
    tones = [look.tone for _, look in figure([Trial("a", (run,))]).legend]
    assert tones == sorted(tones)
    assert set(tones) == set(RAMP)
    text = render(figure([Trial("a", (run,))]), "svg").decode()
    assert "fc0 … fc4" in text


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("train_loss", ("train", "loss")),
        ("test.aux.accuracy", ("test", "aux.accuracy")),
        ("test.error.cosine", ("test", "error.cosine")),
        ("block.0.fc.error.matrix_cosine", ("block.0.fc", "error.matrix_cosine")),
        ("fc1.feedback.2.P.captured_energy", ("fc1.feedback.2.P", "captured_energy")),
        ("logits.feedback.cosine", ("logits.feedback", "cosine")),
        ("seconds", (ALL, "seconds")),
        ("fc1.of_a_plugin", ("fc1", "of_a_plugin")),
    ],
)
def test_names_are_layers_and_measures(name: str, parts: tuple[str, str]) -> None:
    assert split(name)[:2] == parts


def test_each_probe_says_its_measures() -> None:
    assert all(kind.measures for kind in kinds("fac.probes"))


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ((0.0, 1.0), False, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-1.0, 1.0), False, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ((1e-16, 1e-4), True, ["1e-15", "1e-12", "1e-9", "1e-6"]),
        ((1.0, 150.0), True, ["1", "10", "100"]),
        ((0.0, 4e8), False, ["0", "1e8", "2e8", "3e8", "4e8"]),
        ((5.0, 5.0), False, ["3", "4", "5", "6", "7"]),
        ((0.0, 0.0), False, ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        ((1.0, 1.0 + 1e-14), False, ["0.6", "0.8", "1.0", "1.2", "1.4"]),
        ((0.9999998, 1.0), False, ["0.6", "0.8", "1.0", "1.2", "1.4"]),
        ((-1e150, 1e150), False, ["-1.0e150", "-5e149", "0", "5e149", "1.0e150"]),
    ],
)
def test_axes_have_round_numbers(values: tuple[float, float], log: bool, ticks: list[str]) -> None:
    found = axis(values)
    assert found.log == log
    marks = found.ticks()
    assert all(0 <= found.place(value) <= 1 for value, _ in marks)
    assert [text for _, text in marks] == ticks
    assert all(0 <= found.place(value) <= 1 for value in values)


@pytest.mark.parametrize(
    ("name", "values", "low", "high"),
    [
        ("test_accuracy", (0.966,), 0.483, 1.0),
        ("test_accuracy", (1.0, 1.0), 0.5, 1.0),
        ("test_accuracy", (0.0, 0.5), 0.0, 0.53),
        ("aux.accuracy", (0.9, 1.0), 0.894, 1.0),
        ("fc1.error.cosine", (-1.0, 1.0 + 1e-15), -1.0, 1.0),
        ("fc1.error.cosine", (0.0,), -1.0, 1.0),
        # no share after all, and what has no end
        ("custom.accuracy", (90.0, 100.0), 89.4, 100.6),
        ("test_loss", (0.966,), 0.483, 1.449),
    ],
)
def test_axes_end_where_numbers_do(name: str, values: tuple[float, ...], low: float, high: float) -> None:
    points = tuple((float(step), value, value, value) for step, value in enumerate(values))
    panel = Panel("p", (Curve("a", Stroke("ink"), points, name),))
    found = axis(values, panel.within)
    assert (found.low, found.high) == pytest.approx((low, high))
    wide = axis([values[0] - 9, values[0] + 9], panel.within)
    assert panel.within is None or (wide.low, wide.high) == panel.within


def test_what_may_be_negative_has_no_axis_of_logarithms() -> None:
    assert axis([0.001, 0.9]).log
    assert axis([0.001, 0.9], (0.0, 1.0)).log
    assert not axis([0.001, 0.9], (-1.0, 1.0)).log


def test_axes_by_logarithms_end_there_too() -> None:
    assert axis([1e-3, 1.0], (0.0, 1.0)).high == 0


def test_points_lie_where_the_axes_say() -> None:
    assert Axis(-2.0, 2.0, log=True).place(10.0) == pytest.approx(0.75)
    text = render(figure([Trial("a", (rows(),))], ["fc1.error.cosine"]), "svg").decode()
    root = ElementTree.fromstring(text)
    (curve,) = (
        group.find(f"{SPACE}path")
        for group in root.iter(f"{SPACE}g")
        if group.findtext(f"{SPACE}title") == "fc1: fc1.error.cosine"
    )
    assert curve is not None
    xs, ys = zip(
        *(map(float, point) for point in re.findall(r"[ML]([\d.]+) ([\d.]+)", curve.attrib["d"])), strict=True
    )
    # equal steps and equal rises: points in equal distance on a line that goes up
    assert xs[2] - xs[1] == pytest.approx(xs[1] - xs[0], abs=0.11)
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.11)
    assert ys[0] > ys[2]


def test_the_legend_names_what_is_drawn() -> None:
    silent = tuple({**row, "error.cosine": None} for row in rows())
    found = figure([Trial("a", (rows(),)), Trial("b", (silent,))], ("error.cosine",))
    assert [label for label, _ in found.legend] == ["a"]
    found = figure([Trial("a", (rows(),)), Trial("b", (silent,))], ("error.cosine", "test_loss"))
    assert [label for label, _ in found.legend] == ["a", "b"]


@pytest.mark.parametrize(
    ("places", "ticks", "middle"),
    [
        ((1, 2, 5, 64), ["1", "2", "5", "64"], log(2) / log(64)),  # by the logarithm
        ((2, 4, 6), ["2", "4", "6"], 0.5),
        ((3,), ["3"], 0.5),
        ((0, 100), ["0", "100"], None),
    ],
)
def test_what_is_not_steps_is_written_as_it_is(
    places: Sequence[int], ticks: list[str], middle: float | None
) -> None:
    below = Below(figure([Trial("r", (rows(steps=places),))], ("test_loss",), axis="rank"))
    assert [text for _, text in below.ticks] == ticks
    assert below.title == "rank"
    if middle is not None:
        assert below.axis.place(places[len(places) // 3]) == pytest.approx(middle)


def test_a_picture_is_of_what_it_says_whatever_the_texts() -> None:
    hostile = "<script>\u202e\x1b]0;&"
    text = render(figure([Trial(hostile, (rows(),)), Trial("b", (rows(nan),))]), "svg").decode()
    ElementTree.fromstring(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert render(one(), "svg", bare=True).decode().count("f-paper") < render(one(), "svg").decode().count(
        "f-paper"
    )


@pytest.mark.parametrize("bare", [True, False])
def test_bands_have_their_colours_in_every_kind_of_file(bare: bool) -> None:
    tones, wide = ("value", "alarm", "random"), 20.0
    corners = [((x, 0.0), (x + wide, 0.0), (x + wide, 9.0), (x, 9.0)) for x in (0.0, wide, 2 * wide)]
    areas = tuple(Area(at, tone, 0.18) for at, tone in zip(corners, tones, strict=True))
    picture = Picture(3 * wide, 9.0, "", "", "", (), (), (), bare, areas)
    image = Image.open(BytesIO(convert(picture, as_svg(picture, light=True), "png"))).convert("RGBA")
    operators = b"".join(
        zlib.decompress(part.split(b"endstream")[0].strip(b"\r\n"))
        for part in convert(picture, as_svg(picture, light=True), "pdf").split(b"FlateDecode")[1:]
        for part in [part.partition(b"stream")[2]]
    )
    for number, tone in enumerate(tones):
        wanted = [int(TONES[tone][0][i : i + 2], 16) for i in (1, 3, 5)]
        x, y = (2 * number + 1) * image.width // 6, image.height // 2
        *colour, opacity = (int(band.getpixel((x, y))) for band in image.split())  # type: ignore[arg-type]
        if bare:  # of 8 bits at an opacity of 0.18
            assert opacity == pytest.approx(0.18 * 255, abs=1)
            assert colour == pytest.approx(wanted, abs=3 / 0.18)
        else:
            assert colour == pytest.approx([0.82 * 255 + 0.18 * c for c in wanted], abs=1.5)
            assert opacity == 255
        written = [
            [float(v) for v in found]
            for found in re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) (?:rg|scn)", operators)
        ]
        assert any(each == pytest.approx([c / 255 for c in wanted], abs=0.01) for each in written)


def test_a_long_curve_keeps_its_ends_its_gaps_and_what_sticks_out() -> None:
    values = [0.0 if i % 2 else 1.0 for i in range(1000)]
    values[501], values[777], values[40:80] = 9.0, -9.0, [nan] * 40
    points = tuple((float(i), v, v, v) for i, v in enumerate(values))
    found = thinned(points, 100)
    assert len(found) <= 150
    assert {(501.0, 9.0), (777.0, -9.0)} <= {point[:2] for point in found}
    assert (found[0][0], found[-1][0]) == (0, 999)
    assert [isnan(point[1]) for point in found].count(True) >= 2
    assert set(found[:3]) <= set(points)
    assert thinned(points, 1000) is points


def test_curves_of_one_family_share_a_colour_and_differ_in_dashes() -> None:
    trials = [Trial(name, (rows(),), name[0]) for name in ("a1", "b1", "a2")]
    looks = dict(figure(trials).legend)
    assert looks["a1"].tone == looks["a2"].tone != looks["b1"].tone
    assert looks["a1"].dash != looks["a2"].dash
    many = [Trial(f"a{i}", (rows(),), "a") for i in range(6)]
    assert len({look.tone for _, look in figure(many).legend}) == 6


def test_names_are_picked_by_what_they_are_about() -> None:
    found = figure([Trial("a", (rows(),))], topics=["alignment"])
    assert {curve.name for panel in found.panels for curve in panel.curves} == {
        "fc1.error.cosine", "fc2.error.cosine", "error.cosine",
    }  # fmt: skip
    with pytest.raises(FacError, match=r"no name in these logs is about `rank`; there is `time`|`other`"):
        figure([Trial("a", (rows(),))], topics=["rank"])


@pytest.mark.parametrize("measure", [m for kind in kinds("fac.probes") for m in kind.measures])
def test_every_measure_is_about_something(measure: str) -> None:
    assert topic(measure) in TOPICS


def test_a_figure_is_as_wide_as_it_should_be() -> None:
    for width, units, columns in (("3.25in", 312, 2), ("8cm", 302.4, 2), ("7in", 672, 2), ("1.5in", 144, 1)):
        text = render(figure([Trial("a", (rows(),))]), "svg", sheet=sheet(width, 6)).decode()
        assert f'width="{units:g}"' in text
        frames = set(re.findall(r'<path d="M([\d.]+) [\d.]+V', text))
        assert len(frames) == columns
        assert 'font-size="8"' in text  # 6 pt
    with pytest.raises(FacError, match=r"is no width: write a number and one of `in`"):
        sheet("3.25 inches")
    with pytest.raises(FacError, match=r"say 1 to 40 inches"):
        sheet("1km".replace("k", "m"))
    with pytest.raises(FacError, match=r"leave no room for curves"):
        render(figure([Trial("a", (rows(),))]), "svg", sheet=sheet("1in", 30))


def test_a_pdf_is_as_wide_as_a_paper_takes_it() -> None:
    found = render(figure([Trial("a", (rows(),))]), "pdf", sheet=sheet("3.25in", 7))
    box = re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ", found)
    assert box is not None
    assert float(box[1]) == pytest.approx(3.25 * 72, abs=0.5)


@pytest.mark.parametrize("many", [2, 6, 12])
def test_a_legend_leaves_two_thirds_of_a_column_to_curves(many: int) -> None:
    names = [f"vision transformer ldfa rank={n} learn.rule=kolen_pollack" for n in range(many)]
    of = sheet("3.25in", 8)
    found = figure([Trial(name, (rows(),)) for name in names], ["test_loss"])
    picture = laid_out(found, True, of)
    entries = [label for label in picture.labels if "rank" in label.words[0].text]
    assert len({label.words[0].text for label in entries}) == len([*merged(found.legend)]), (
        "all are told apart"
    )
    lowest = max(label.rect.bottom for label in entries)
    assert lowest <= picture.height / 3
    assert all(e.rect.x + wide(e.words[0].text, of.size) <= picture.width for e in entries)


@pytest.mark.parametrize("values", [(2.0, 3.0), (-5.0, -4.0), (2.0, 1e9), (7.0,)])
def test_numbers_beyond_the_ends_of_an_axis_are_drawn_where_they_are(values: tuple[float, ...]) -> None:
    found = axis(values, (0.0, 1.0))
    assert found.ticks()
    assert all(0 <= found.place(value) <= 1 for value in values)
