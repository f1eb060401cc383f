import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { build } from "../build.mjs";

const CLIENT = "node_modules/socket.io-client";

let folder;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dtws-sio-"));
});

afterEach(() => rm(folder, { recursive: true }));

/** Make a workspace like the real one, but small; `files` are added to it, and left out where the content is null. */
async function workspace(files = {}) {
  const all = {
    [`${CLIENT}/dist/socket.io.min.js`]: "client();\n//# sourceMappingURL=socket.io.min.js.map",
    [`${CLIENT}/dist/socket.io.min.js.map`]: "{}",
    [`${CLIENT}/LICENSE`]: "MIT",
    "src/ours.js": "export const ours = 1;\n",
    ...files,
  };
  for (const [name, content] of Object.entries(all)) {
    if (content === null) continue;
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return { workspace: folder, target: join(folder, "built", "deep") };
}

test("the real workspace ships the official client with its map and licence, and our modules (J-01)", async () => {
  const target = join(folder, "built");
  const names = await build({ target });
  assert.deepEqual(names, ["connect.js", "progress.js", "signals.js", "socket.io.LICENSE.txt", "socket.io.min.js", "socket.io.min.js.map"]);
  assert.deepEqual((await readdir(target)).sort(), names);
  assert.match(await readFile(join(target, "socket.io.min.js"), "utf8"), /^\/\*!\n \* Socket\.IO v4\.8\./);
  assert.match(await readFile(join(target, "socket.io.LICENSE.txt"), "utf8"), /MIT License/);
  JSON.parse(await readFile(join(target, "socket.io.min.js.map"), "utf8"));
});

test("no module of ours imports anything, since Django's manifest storage does not rewrite imports", async () => {
  const source = new URL("../src/", import.meta.url);
  for (const name of await readdir(source)) {
    const code = (await readFile(new URL(name, source), "utf8")).replace(/\/\*[\s\S]*?\*\//g, "");
    assert.doesNotMatch(code, /\bimport\b/, name);
  }
});

for (const name of ["dist/socket.io.min.js", "dist/socket.io.min.js.map", "LICENSE"]) {
  test(`a missing ${name} of the client stops the build before anything is written`, async () => {
    const folders = await workspace({ [`${CLIENT}/${name}`]: null });
    await assert.rejects(build(folders), (error) => error.message.includes(name) && error.message.includes("npm ci"));
    await assert.rejects(readdir(folders.target), { code: "ENOENT" });
  });
}

test("a script of ours whose source map is not built is refused by name", async () => {
  const folders = await workspace({ "src/bar.js": "1;\n//# sourceMappingURL=bar.js.map\n" });
  await assert.rejects(build(folders), /bar\.js names the source map bar\.js\.map/);
});

test("a client that names another map than the one that is copied is refused", async () => {
  const folders = await workspace({ [`${CLIENT}/dist/socket.io.min.js`]: "//# sourceMappingURL=renamed.map" });
  await assert.rejects(build(folders), /renamed\.map/);
});

test("a second build replaces changed files and removes stale ones", async () => {
  const folders = await workspace();
  await build(folders);
  await writeFile(join(folders.target, "renamed-since.js"), "old");
  await writeFile(join(folder, "src/ours.js"), "export const ours = 2;\n");
  const names = await build(folders);
  assert.deepEqual((await readdir(folders.target)).sort(), names);
  assert.equal(await readFile(join(folders.target, "ours.js"), "utf8"), "export const ours = 2;\n");
});
