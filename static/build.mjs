/**
 * Fill dtws_sio/static/dtws_sio/ with the files that browsers load.
 *
 * The official client is copied from its npm package by file path, with its map and its licence; our modules are copied
 * as they are. There is no bundler: what is debugged is what was written.
 */

import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const WORKSPACE = fileURLToPath(new URL(".", import.meta.url));

/** Where Django's staticfiles finds what is built here. */
export const TARGET = fileURLToPath(new URL("../dtws_sio/static/dtws_sio/", import.meta.url));

/** What is taken from npm packages: the name it is served under, and its path inside node_modules. */
const THIRD_PARTY = {
  "socket.io.min.js": "socket.io-client/dist/socket.io.min.js",
  "socket.io.min.js.map": "socket.io-client/dist/socket.io.min.js.map",
  "socket.io.LICENSE.txt": "socket.io-client/LICENSE",
};

/**
 * Read every file that will be served.
 *
 * @param {string} workspace the folder that holds src/ and node_modules/.
 * @returns {Promise<Map<string, Buffer>>} the contents by the name they are served under.
 * @throws {Error} if one is missing; the message names it and the remedy.
 */
async function collect(workspace) {
  const paths = Object.entries(THIRD_PARTY).map(([name, path]) => [name, join(workspace, "node_modules", path)]);
  for (const name of await readdir(join(workspace, "src"))) {
    if (name.endsWith(".js")) paths.push([name, join(workspace, "src", name)]);
  }
  return new Map(await Promise.all(paths.map(async ([name, path]) => [name, await contents(path)])));
}

async function contents(path) {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`${path} cannot be read; run "npm ci" in static/ first`, { cause: error });
  }
}

/**
 * Refuse a script whose source map is not served beside it: collectstatic with Django's manifest storage would fail.
 *
 * @param {Map<string, Buffer>} files what collect() returned.
 * @throws {Error} if a map is missing.
 */
function checkSourceMaps(files) {
  for (const [name, content] of files) {
    if (!name.endsWith(".js")) continue;
    for (const [, map] of content.toString().matchAll(/^\/\/[#@] sourceMappingURL=(\S+)/gm)) {
      if (!files.has(map)) throw new Error(`${name} names the source map ${map}, which is not built; add it to build.mjs`);
    }
  }
}

/**
 * Build everything, and remove what an earlier build left behind.
 *
 * Each file appears under its name at once and whole, so that a server which runs meanwhile never reads half of one.
 *
 * @param {object} [folders]
 * @param {string} [folders.workspace] the folder that holds src/ and node_modules/.
 * @param {string} [folders.target] the folder to fill.
 * @returns {Promise<string[]>} the names of the built files, sorted.
 * @throws {Error} if a file is missing; nothing is written then.
 */
export async function build({ workspace = WORKSPACE, target = TARGET } = {}) {
  const files = await collect(workspace);
  checkSourceMaps(files);
  await mkdir(target, { recursive: true });
  for (const [name, content] of files) {
    const draft = join(target, `.${name}.${process.pid}`);
    await writeFile(draft, content);
    await rename(draft, join(target, name));
  }
  const stale = (await readdir(target)).filter((name) => !files.has(name));
  await Promise.all(stale.map((name) => rm(join(target, name), { recursive: true })));
  return [...files.keys()].sort();
}

if (process.argv[1] && basename(process.argv[1]) === "build.mjs") {
  console.log(`built ${(await build()).join(", ")}`);
}
