// The reference server with the handlers of project/sockets.py. usage: node server.js PORT
const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), { transports: ["polling", "websocket"] });

io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
  socket.on("broadcast", (data) => io.emit("broadcast", data));
  socket.on("join", (room) => socket.join(room));
  socket.on("room", (room, data) => io.to(room).emit("room", data));
});
