/* What of the pictures is seen: one window for all panes, in shares of a picture. */
const LARGEST = 40;

class View {
  constructor(change) { Object.assign(this, { zoom: 1, x: 0.5, y: 0.5, change }); }

  /** Zoom by a factor and keep the point (px, py), in shares of the picture, where it is. */
  zoomBy(factor, px = this.x, py = this.y) {
    const zoom = Math.min(LARGEST, Math.max(1, this.zoom * factor));
    const ratio = this.zoom / zoom;
    this.move(px + (this.x - px) * ratio, py + (this.y - py) * ratio, zoom);
  }

  pan(dx, dy) { this.move(this.x + dx / this.zoom, this.y + dy / this.zoom, this.zoom); }

  reset() { this.move(0.5, 0.5, 1); }

  move(x, y, zoom) {
    const half = 0.5 / zoom;
    this.zoom = zoom;
    this.x = Math.min(1 - half, Math.max(half, x));
    this.y = Math.min(1 - half, Math.max(half, y));
    this.change();
  }

  /** The point of the picture below a point of a pane, both in shares. */
  at(px, py) { return [this.x + (px - 0.5) / this.zoom, this.y + (py - 0.5) / this.zoom]; }

  /** Draw a picture into a canvas. */
  draw(canvas, source) {
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!source) return;
    const [w, t] = [source.width / this.zoom, source.height / this.zoom];
    context.drawImage(source, this.x * source.width - w / 2, this.y * source.height - t / 2, w, t, 0, 0, canvas.width, canvas.height);
  }
}

/** Wheel, drag and pinch on a pane; `hover` is told the point below the cursor, or null. */
function movable(element, view, hover) {
  const held = new Map();
  const share = (event) => {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box];
  };
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.zoomBy(Math.exp(-event.deltaY / 300), ...view.at(...share(event).slice(0, 2)));
  }, { passive: false });
  element.addEventListener("pointerdown", (event) => { held.set(event.pointerId, event); element.setPointerCapture(event.pointerId); });
  element.addEventListener("pointermove", (event) => {
    const [px, py, box] = share(event);
    hover(view.at(px, py));
    const before = held.get(event.pointerId);
    if (!before) return;
    if (held.size === 2) {
      const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      view.zoomBy(apart(event) / Math.max(1, apart(before)));
    } else view.pan((before.clientX - event.clientX) / box.width, (before.clientY - event.clientY) / box.height);
    held.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) element.addEventListener(name, (event) => held.delete(event.pointerId));
  element.addEventListener("pointerleave", () => hover(null));
  element.addEventListener("dblclick", () => view.reset());
}
