"""One colour a family, whoever asks."""

from sipbench.report import palette


def test_a_family_has_its_colour_and_others_get_spare_ones():
    assert palette.colours(["single", "diffusion"]) == {"single": "#009E73", "diffusion": "#D55E00"}
    own = palette.colours(["mine", "single", "yours"])
    assert own["single"] == "#009E73" and len(set(own.values())) == 3


def test_rows_of_a_family_go_from_its_colour_towards_white():
    found = palette.styles([("a", "single"), ("b", "datarich"), ("c", "single")])
    assert found["a"] == ("#009E73", "o") and found["b"][0] == "#0072B2"
    assert found["c"] == (palette.paler("#009E73", palette.LIGHTEST), "s")
    assert palette.paler("#000000", 1.0) == "#FFFFFF"


def test_marks_of_a_family_are_of_one_colour_and_all_different():
    found = palette.marks([*((f"a{k}", "datarich") for k in range(20)), ("b", "single")])
    assert {found[f"a{k}"]["color"] for k in range(20)} == {"#0072B2"} and found["b"]["color"] == "#009E73"
    assert len({(one["ls"], one["marker"]) for name, one in found.items() if name != "b"}) == 20
