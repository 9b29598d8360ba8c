// Seconds per image of pages of `snv2 export --target web`, which take turns: node time_pages.mjs ROUNDS SIZE PAGE...
import {readFileSync} from 'node:fs';
import {resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const [rounds, size, ...pages] = process.argv.slice(2);
const ort = await import(pathToFileURL(resolve(pages[0], 'ort.js')));
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = readFileSync(resolve(pages[0], 'ort.wasm'));

const pixels = Uint8Array.from({length: size * size * 3}, (_, i) => (i * 7919) % 256);
const image = new ort.Tensor('uint8', pixels, [Number(size), Number(size), 3]);
const sessions = [];
for (const page of pages) sessions.push(await ort.InferenceSession.create(readFileSync(resolve(page, 'detector.onnx'))));
const seconds = pages.map(() => []);
for (let round = -3; round < rounds; round++) { // three to warm up
  for (const [i, session] of sessions.entries()) {
    const start = performance.now();
    await session.run({image});
    if (round >= 0) seconds[i].push((performance.now() - start) / 1e3);
  }
}
console.log(JSON.stringify(seconds));
