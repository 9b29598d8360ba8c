// The page: detects objects in an image or the camera, and draws boxes on a canvas.

import * as ort from './ort.js';
import {resized, sizeOf} from './resize.js';

const MAX_PIXELS = 2 ** 24; // the largest canvas of a phone
const element = (id) => document.getElementById(id);
const [file, camera, threshold, shown, status, canvas, video] =
  ['file', 'camera', 'threshold', 'shown', 'status', 'canvas', 'video'].map(element);
const frame = document.createElement('canvas'); // the input, without boxes
const pixelsOfFrame = frame.getContext('2d', {willReadFrequently: true});

// One thread needs no special headers from the server.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = {wasm: new URL('ort.wasm', import.meta.url).href};

let session, about, stream;
let found = {detections: [], milliseconds: 0, resizing: 0};
let queue = Promise.resolve(); // the runtime computes one image at a time

async function load() {
  const answer = await fetch('detector.json');
  if (!answer.ok) throw new Error(`detector.json: status ${answer.status}`);
  about = await answer.json();
  session = await ort.InferenceSession.create('detector.onnx', {executionProviders: ['wasm']});
  file.disabled = camera.disabled = false;
  say('Ready. Images stay on this device.');
}

function say(text) {
  status.textContent = text;
}

function fail(error) {
  say(`Error: ${error.message ?? error}`);
}

// Detect on an image, or on a frame of the video, and show it.
async function detect(source, width, height) {
  const factor = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  [frame.width, frame.height] = [width, height].map((side) => Math.max(Math.floor(side * factor), 1));
  pixelsOfFrame.drawImage(source, 0, 0, frame.width, frame.height);
  const pixels = pixelsOfFrame.getImageData(0, 0, frame.width, frame.height).data;
  const start = performance.now();
  const [newHeight, newWidth] = sizeOf(frame.height, frame.width, about.resize);
  const bytes = resized(pixels, frame.height, frame.width, newHeight, newWidth, about.resize);
  const input = new ort.Tensor('uint8', bytes, [newHeight, newWidth, 3]);
  const between = performance.now();
  const {dets, labels} = await session.run({image: input});
  const end = performance.now();
  const scales = [frame.width / newWidth, frame.height / newHeight];
  found = {detections: Array.from(labels.data, (label, i) => ({
    box: Array.from(dets.data.subarray(i * 5, i * 5 + 4), (value, k) => value * scales[k % 2]),
    score: dets.data[i * 5 + 4],
    label: Number(label),
    name: about.classes[Number(label)],
  })), milliseconds: end - start, resizing: between - start};
  window.found = found; // for programs that control the page
  draw();
}

function draw() {
  if (!frame.width || !about) return;
  if (canvas.width !== frame.width || canvas.height !== frame.height) {
    [canvas.width, canvas.height] = [frame.width, frame.height];
  }
  const context = canvas.getContext('2d');
  context.drawImage(frame, 0, 0);
  const pixel = canvas.width / canvas.clientWidth; // of the screen
  const size = 14 * pixel;
  context.font = `${size}px system-ui, sans-serif`;
  context.lineWidth = 2 * pixel;
  context.textBaseline = 'middle';
  const kept = found.detections.filter(({score}) => score >= Number(threshold.value));
  for (const {box: [x1, y1, x2, y2], score, label, name} of [...kept].reverse()) { // the best on top
    const text = `${name} ${score.toFixed(2)}`;
    const width = context.measureText(text).width + 0.6 * size;
    const left = Math.max(0, Math.min(x1, canvas.width - width));
    const top = Math.max(y1 - 1.4 * size, 0);
    context.strokeStyle = context.fillStyle = `hsl(${(label * 137.5) % 360} 75% 32%)`;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    context.fillRect(left, top, width, 1.4 * size);
    context.fillStyle = '#fff';
    context.fillText(text, left + 0.3 * size, top + 0.7 * size);
  }
  const counts = new Map();
  for (const {name} of kept) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing above the threshold';
  say(`${found.milliseconds.toFixed(0)} ms (resizing ${found.resizing.toFixed(0)} ms): ${names}`);
}

function inTurn(work) {
  queue = queue.then(work).catch(fail);
  return queue;
}

async function open() {
  const [chosen] = file.files;
  file.value = ''; // so that the same file can be chosen again
  if (!chosen) return;
  stopCamera();
  say(`Detecting on ${chosen.name}.`);
  await inTurn(async () => {
    const bitmap = await createImageBitmap(chosen).catch(() => {
      throw new Error(`${chosen.name} cannot be read as an image by this browser. Choose a JPEG or PNG.`);
    });
    await detect(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
  });
}

async function startCamera() {
  if (!navigator.mediaDevices) throw new Error('the camera needs an address that begins with https, or localhost.');
  camera.disabled = true;
  const mine = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}, audio: false})
    .finally(() => { camera.disabled = false; });
  stream = video.srcObject = mine;
  camera.textContent = 'Stop camera';
  mine.getVideoTracks()[0].onended = stopCamera;
  await video.play();
  while (stream === mine) {
    await inTurn(async () => { if (stream === mine) await detect(video, video.videoWidth, video.videoHeight); });
    await new Promise(requestAnimationFrame); // keeps the page responsive
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = video.srcObject = null;
  camera.textContent = 'Start camera';
}

file.onchange = open;
camera.onclick = () => (stream ? stopCamera() : startCamera().catch((error) => { stopCamera(); fail(error); }));
threshold.oninput = () => {
  shown.textContent = Number(threshold.value).toFixed(2);
  draw();
};
window.onresize = draw;
load().catch(fail);
