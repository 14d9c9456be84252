// Run one model with onnxruntime-web (wasm) and print its outputs as JSON.
//
//     node engine_web.mjs PACKAGE MODEL FEEDS      PACKAGE: the folder of onnxruntime-web; FEEDS: a JSON file
//
// A tensor is {"type": "float32", "dims": [...], "data": base64 of its bytes, little-endian}.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [folder, model, feeds] = process.argv.slice(2);
const dist = pathToFileURL(join(folder, "dist")).href + "/";
const ort = await import(dist + "ort.wasm.min.mjs");
ort.env.wasm.wasmPaths = dist;
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array, bool: Uint8Array };

function decoded({ type, dims, data }) {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return new ort.Tensor(type, new ARRAYS[type](bytes.buffer), dims);
}

function encoded({ type, dims, data }) {
  return { type, dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64") };
}

const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([name, item]) => [name, change(item)]));

const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
const outputs = await session.run(mapped(JSON.parse(readFileSync(feeds, "utf8")), decoded));
process.stdout.write(JSON.stringify(mapped(outputs, encoded)));
