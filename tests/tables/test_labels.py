"""Labels of points lie neither on one another nor on a point, inside of the picture, and near where there is room."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sipbench.tables import labels


def common(a, b):
    return max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)


def test_crowded_labels_do_not_overlap():
    rng = np.random.default_rng(0)
    anchors = [tuple(p) for p in 250 + 40 * rng.normal(size=(20, 2))]
    sizes, frame = [(45.0, 10.0)] * 20, (0.0, 0.0, 500.0, 400.0)
    boxes = labels.placed(anchors, sizes, frame)
    points = [(x - 3, y - 3, x + 3, y + 3) for x, y in anchors]
    assert not any(common(a, b) for a, b in itertools.combinations(boxes, 2))
    assert not any(common(box, point) for box in boxes for point in points)
    for (left, bottom, right, top), size in zip(boxes, sizes, strict=True):
        assert np.allclose((right - left, top - bottom), size) and left >= 0 and bottom >= 0 and right <= 500


def test_no_line_leads_through_a_label_or_a_point():
    rng = np.random.default_rng(3)
    anchors = [tuple(p) for p in 250 + 45 * rng.normal(size=(16, 2))]
    boxes = labels.placed(anchors, [(60.0, 10.0)] * 16, (0.0, 0.0, 500.0, 400.0))
    far = 0
    for i, (anchor, (left, bottom, right, top)) in enumerate(zip(anchors, boxes, strict=True)):
        near = np.clip(anchor, (left, bottom), (right, top))
        if np.abs(near - anchor).sum() <= labels.FAR:
            continue
        far += 1
        way = np.array(anchor) + np.linspace(0, 1, 200)[:, None] * (near - anchor)
        others = [box for j, box in enumerate(boxes) if j != i]
        others += [(x - 3, y - 3, x + 3, y + 3) for j, (x, y) in enumerate(anchors) if j != i]
        for low, high in ((np.array(box[:2]), np.array(box[2:])) for box in others):
            assert not ((way > low) & (way < high)).all(-1).any()
    assert far


def test_a_label_that_has_room_stays_right_above_its_point_and_turns_at_an_edge():
    (box,) = labels.placed([(100.0, 100.0)], [(40.0, 10.0)], (0, 0, 500, 400))
    assert (box[0], box[1]) == (104, 104)
    (box,) = labels.placed([(490.0, 390.0)], [(40.0, 10.0)], (0, 0, 500, 400))
    assert box[2] < 490 and box[3] < 390


def test_they_are_drawn_where_they_were_put():
    figure = Figure(figsize=(4, 3))
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    axes.plot([1, 1.001, 10], [0, 0, 1], "o")
    axes.set_xscale("log")
    canvas.draw()
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    labels.draw(axes, [("one", 1, 0), ("another", 1.001, 0), ("far", 10, 1)])
    boxes = [text.get_window_extent(canvas.get_renderer()).extents for text in axes.texts]
    assert len(boxes) == 3 and not any(common(a, b) for a, b in itertools.combinations(boxes, 2))


def test_labels_above_one_another_are_moved_apart_as_little_as_it_takes():
    assert labels.spread([10.0, 50.0], [4.0, 4.0], 0, 100) == [10.0, 50.0]
    assert labels.spread([50.0, 50.0], [4.0, 8.0], 0, 100) == [47.0, 53.0]  # around what both want
    assert labels.spread([99.0, 99.0, 0.0], [10.0] * 3, 0, 100) == [85.0, 95.0, 5.0]  # within
    wanted = list(np.random.default_rng(0).uniform(0, 100, 12))
    found = labels.spread(wanted, [6.0] * 12, 0, 100)
    assert np.argsort(found).tolist() == np.argsort(wanted).tolist()
    assert min(np.diff(sorted(found))) >= 6 - 1e-9 and min(found) >= 3 - 1e-9 and max(found) <= 97 + 1e-9
    assert np.allclose(np.diff(sorted(labels.spread(wanted, [20.0] * 12, 0, 100))), 100 / 12)  # too many overlap alike
    assert labels.spread([], [], 0, 100) == []
