/* Pictures of a gallery, unpacked when they are first looked at. */
/** The sprites of a gallery: {truth, measurement, estimates, residuals, kernels}. */
function picturesOf(gallery) {
  if (!gallery.sprites) gallery.sprites = JSON.parse(document.getElementById(gallery.pictures).textContent);
  return gallery.sprites;
}

/** Picture i of a sprite on a canvas of its own size; null where there is none. */
function picture(sprite, i) {
  if (!sprite || !sprite.sources[i]) return Promise.resolve(null);
  sprite.canvases ||= {};
  sprite.canvases[i] ||= drawn(sprite.sources[i]);
  return sprite.canvases[i];
}

async function drawn(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = h("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
  return canvas;
}

function pixels(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height).data;
}
