/**
 * Connect a page to the Django project that rendered it, with the settings that {% dtws_sio_scripts %} put there.
 *
 *     import { connect } from "{% static 'dtws_sio/connect.js' %}";
 *     const socket = connect("/chat");
 */

const SETTINGS_ID = "dtws-sio"; // dtws_sio/templatetags/dtws_sio.py writes the element
const REMEDY = 'put {% load dtws_sio %}{% dtws_sio_scripts %} into the page\'s template';

/**
 * Read what the server told this page.
 *
 * @param {Document} [page] the document that holds the settings.
 * @returns {{path: string, namespace: string, csrf_token: (string|undefined)}} the URL path of the Socket.IO endpoint, the
 *     namespace to use by default, and the CSRF token if the project's setting CSRF asks for one.
 * @throws {Error} if the settings are missing or unusable.
 */
export function pageSettings(page = globalThis.document) {
  const block = page?.getElementById(SETTINGS_ID);
  if (!block) throw new Error(`the page has no element #${SETTINGS_ID} with the Socket.IO settings: ${REMEDY}`);
  let settings;
  try {
    settings = JSON.parse(block.textContent);
  } catch (cause) {
    throw new Error(`the Socket.IO settings in #${SETTINGS_ID} are not JSON: ${REMEDY}`, { cause });
  }
  if (typeof settings?.path !== "string") {
    throw new Error(`the Socket.IO settings in #${SETTINGS_ID} have no "path" that is a string: ${REMEDY}`);
  }
  return { namespace: "/", ...settings };
}

/**
 * Connect to a namespace of the project; calls for several namespaces of a page share one connection.
 *
 * Where the project's setting CSRF is on, the token joins what `auth` gives; code that replaces `socket.auth` later has to
 * keep it.
 *
 * @param {string} [namespace] spaces around it are removed and a leading "/" is added; the page's default if left out.
 * @param {object} [options] any option of the official client, such as {auth: {...}}; they win over the page's settings.
 * @returns {Socket} the official client's socket.
 * @throws {TypeError} if the namespace is not a string.
 * @throws {Error} if the namespace cannot be one, or the page lacks the client or the settings.
 */
export function connect(namespace, options = {}) {
  if (typeof globalThis.io !== "function") throw new Error(`the official Socket.IO client is not loaded: ${REMEDY}`);
  const page = pageSettings();
  const target = namespacePath(namespace === undefined ? page.namespace : namespace);
  return globalThis.io(target, { path: page.path, ...options, ...withToken(options.auth, page.csrf_token) });
}

// dtws_sio/csrf.py looks for the token in what a client brings along to join; `auth` is an object, or a function that
// hands one over whenever it is about to connect.
function withToken(auth, token) {
  if (typeof token !== "string") return {};
  if (typeof auth !== "function") return { auth: { csrf_token: token, ...auth } };
  return {
    auth(send) {
      return auth.call(this, (given) => send({ csrf_token: token, ...given }));
    },
  };
}

// The client takes "//name" for another host and cuts at "?" and "#"; "," ends a namespace in a packet.
function namespacePath(namespace) {
  if (typeof namespace !== "string") {
    throw new TypeError(`a namespace is a string such as "/chat", not ${JSON.stringify(namespace)}; options come second`);
  }
  const path = namespace.trim().replace(/^(?!\/)/, "/");
  if (/^\/\/|[,?#]/.test(path)) throw new Error(`${JSON.stringify(namespace)} cannot be a namespace; use one such as "/chat"`);
  return path;
}
