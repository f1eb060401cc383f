/**
 * Keep an element telling how a socket is connected: its text for people, its data-state for the stylesheet.
 *
 * data-state is "connecting", "connected", "reconnecting", "offline" (the browser has no network) or "refused" (the
 * server does not let this client in; connecting again is up to the page).
 *
 * @param {Socket} socket the official client's socket.
 * @param {HTMLElement} element usually with role="status", so that a change is read out.
 */
export function showConnection(socket, element) {
  const show = (state, text = state) => {
    element.dataset.state = state;
    element.textContent = text;
  };
  const lost = (reason) => {
    if (!socket.active && reason !== "io server disconnect") show("refused", "not connected");
    else if (!navigator.onLine) show("offline");
    else show("reconnecting");
  };
  show("connecting");
  followTransport(socket, (name) => show("connected", `connected · ${name}`));
  socket.on("disconnect", lost);
  socket.on("connect_error", lost);
  addEventListener("offline", () => socket.active && !socket.connected && show("offline"));
}

/**
 * Connect again after the server has closed the connection, for instance because it restarts.
 *
 * The client does so by itself when the network fails, but takes a server's own "disconnect" for final. If the server
 * means it, its connect handler refuses.
 *
 * @param {Socket} socket the official client's socket.
 */
export function keepConnected(socket) {
  socket.on("disconnect", (reason) => {
    if (reason === "io server disconnect") setTimeout(() => socket.connect(), 1000 + 2000 * Math.random());
  });
}

/**
 * Call back with "polling" or "websocket" when the socket is connected, and again when it moves from one to the other.
 *
 * @param {Socket} socket the official client's socket.
 * @param {(name: string) => void} callback what wants to know.
 */
export function followTransport(socket, callback) {
  const follow = () => {
    const { engine } = socket.io;
    callback(engine.transport.name);
    engine.once("upgrade", (transport) => socket.connected && callback(transport.name));
  };
  socket.on("connect", follow);
  if (socket.connected) follow(); // another module of the page may have connected it
}
