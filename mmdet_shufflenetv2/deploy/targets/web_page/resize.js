// Resizing as in the detector's test pipeline: the methods of OpenCV and Pillow, as weights of rows and columns.

const linear = (x) => Math.max(1 - Math.abs(x), 0);
const cubic = (a) => (signed) => {
  const x = Math.abs(signed);
  return x < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
};
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (n) => (x) => (Math.abs(x) < n ? sinc(x) * sinc(x / n) : 0);

// Half the width of each kernel in pixels, and the kernel.
const KERNELS = {
  cv2: {bilinear: [1, linear], bicubic: [2, cubic(-0.75)], lanczos: [4, lanczos(4)]},
  pillow: {
    bilinear: [1, linear], bicubic: [2, cubic(-0.5)], lanczos: [3, lanczos(3)],
    box: [0.5, (x) => Number(x > -0.5 && x <= 0.5)],
    hamming: [1, (x) => (Math.abs(x) < 1 ? sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0)],
  },
  warp: {bilinear: [1, linear]},
};

// [[index, weight], ...] of the input pixels of output pixel i along one axis.
function tapsOf(i, size, scale, {backend, interpolation}, shrinks) {
  if (interpolation === 'nearest') return [[Math.floor((i + (backend === 'pillow' ? 0.5 : 0)) * scale), 1]];
  if (interpolation === 'area') return shrinks ? areaTaps(i, scale) : enlargedAreaTaps(i, scale);
  const [support, kernel] = KERNELS[backend][interpolation];
  const widened = backend === 'pillow' ? Math.max(scale, 1) : 1; // Pillow averages when it shrinks
  const center = backend === 'warp' ? i * scale + 0.5 : (i + 0.5) * scale;
  const [first, end] = [-1, 1].map((sign) => Math.floor(center + sign * support * widened + 0.5));
  const taps = [];
  for (let k = first; k < end; k++) {
    if (backend === 'cv2' || (k >= 0 && k < size)) taps.push([k, kernel((k - center + 0.5) * (1 / widened))]);
  }
  const sum = backend === 'warp' ? 1 : taps.reduce((total, [, weight]) => total + weight, 0); // outside is black
  return taps.map(([k, weight]) => [k, weight / sum]);
}

function areaTaps(i, scale) {
  const taps = [];
  for (let k = Math.floor(i * scale); k < (i + 1) * scale; k++) {
    taps.push([k, (Math.min(k + 1, (i + 1) * scale) - Math.max(k, i * scale)) / scale]);
  }
  return taps;
}

function enlargedAreaTaps(i, scale) {
  const first = Math.floor(i * scale);
  const rest = i + 1 - (first + 1) / scale;
  const weight = rest <= 0 ? 0 : rest - Math.floor(rest);
  return [[first, 1 - weight], [first + 1, weight]];
}

// The same number of taps for each output pixel; an index outside is that of the border.
function taps(size, newSize, resize, shrinks) {
  const all = Array.from({length: newSize}, (_, i) => tapsOf(i, size, size / newSize, resize, shrinks));
  const count = Math.max(...all.map((one) => one.length));
  const index = new Int32Array(newSize * count);
  const weight = new Float32Array(newSize * count);
  all.forEach((one, i) => one.forEach(([k, value], t) => {
    index[i * count + t] = Math.min(Math.max(k, 0), size - 1);
    weight[i * count + t] = value;
  }));
  return {count, index, weight};
}

// [height, width] of the resized image.
export function sizeOf(height, width, {scale, keep_ratio: keepRatio, cut, fit}) {
  if (!keepRatio) return [scale[1], scale[0]];
  const sorted = (pair) => (fit ? pair : [...pair].sort((a, b) => a - b));
  const [sides, of] = [sorted(scale), sorted([width, height])];
  const factor = Math.min(sides[0] / of[0], sides[1] / of[1]);
  return [height, width].map((side) => Math.max(Math.floor(side * factor + (cut ? 0 : 0.5)), 1));
}

// pixels: RGBA of a canvas, (height, width, 4). Returns blue, green, red (newHeight, newWidth, 3) as bytes.
export function resized(pixels, height, width, newHeight, newWidth, resize) {
  const shrinks = width >= newWidth && height >= newHeight;
  const columns = taps(width, newWidth, resize, shrinks);
  const rows = taps(height, newHeight, resize, shrinks);
  const narrow = new Map(); // rows of the image in the new width
  const narrowRow = (y) => {
    if (!narrow.has(y)) narrow.set(y, resizedRow(pixels.subarray(y * width * 4, (y + 1) * width * 4), newWidth, columns));
    return narrow.get(y);
  };
  const out = new Uint8ClampedArray(newHeight * newWidth * 3); // rounds
  const sum = new Float32Array(newWidth * 3);
  for (let y = 0; y < newHeight; y++) {
    sum.fill(0);
    for (let t = y * rows.count; t < (y + 1) * rows.count; t++) {
      const [weight, row] = [rows.weight[t], narrowRow(rows.index[t])];
      for (let x = 0; x < sum.length; x++) sum[x] += weight * row[x];
    }
    out.set(sum, y * newWidth * 3);
    const next = rows.index[Math.min((y + 1) * rows.count, rows.index.length - 1)];
    for (const key of narrow.keys()) if (key < next) narrow.delete(key);
  }
  return new Uint8Array(out.buffer);
}

function resizedRow(pixels, newWidth, {count, index, weight}) {
  const row = new Float32Array(newWidth * 3);
  for (let x = 0; x < newWidth; x++) {
    for (let t = x * count; t < (x + 1) * count; t++) {
      for (let c = 0; c < 3; c++) row[x * 3 + c] += weight[t] * pixels[index[t] * 4 + 2 - c];
    }
  }
  return row;
}
