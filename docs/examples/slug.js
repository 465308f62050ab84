// Makes a title fit for an address. 429 and 503 are tried again, anything else of 400 or more is not.
const http = require("node:http");

const slug = (title) =>
  title
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

const server = http.createServer((request, response) => {
  let title = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => (title += piece));
  request.on("end", () => {
    console.error(`call ${request.headers["x-call-id"]}`);
    const answer = slug(title);
    response.writeHead(answer ? 200 : 422, { "Content-Type": "text/plain" });
    response.end(answer || "a title of letters or digits, please");
  });
});

server.listen(Number(process.env.PORT), "127.0.0.1");
