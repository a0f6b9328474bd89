// Makes mask.wasm, a component of the world `custom-node`, out of mask.js, or of another source: build.mjs [source [target]].
import { componentize } from "@bytecodealliance/componentize-js";
import { readFile, writeFile } from "node:fs/promises";

const here = (path) => new URL(path, import.meta.url).pathname;
const [source = here("mask.js"), target = here("mask.wasm")] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, "utf8"), {
  witPath: here("../../../wit/node"),
  worldName: "custom-node",
  // What a node that only computes does not need.
  disableFeatures: ["clocks", "http", "random", "stdio", "fetch-event"],
});
await writeFile(target, component);
