// Makes mask.wasm, a component of the world `custom-node`, out of mask.js.
import { componentize } from "@bytecodealliance/componentize-js";
import { readFile, writeFile } from "node:fs/promises";

const here = (path) => new URL(path, import.meta.url).pathname;
const { component } = await componentize(await readFile(here("mask.js"), "utf8"), {
  witPath: here("../../../wit/node"),
  worldName: "custom-node",
  // What a node that only computes does not need.
  disableFeatures: ["clocks", "http", "random", "stdio", "fetch-event"],
});
await writeFile(here("mask.wasm"), component);
