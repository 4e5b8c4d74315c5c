// A backend on Node's own fetch, with its pool of kept-alive connections: a line for every step.

const { URL: base, KEY } = process.env;

async function ask(method, path, body) {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, json: await response.json() };
}

const sent = await Promise.all(
  Array.from({ length: 200 }, (_, n) => ask("POST", "/v1/rooms/lobby/messages", { content: n })),
);
const offsets = new Set(sent.map(({ json }) => json.offset));
console.log(`published ${offsets.size} at once`);
const history = await ask("GET", "/v1/rooms/lobby/messages?limit=1000");
console.log(`history holds ${history.json.messages.length}`);
const missing = await ask("GET", "/v1/rooms/nowhere");
console.log(`unknown room: ${missing.status} ${missing.json.code}`);
const large = await ask("POST", "/v1/rooms/lobby/messages", { content: "x".repeat(900_000) });
console.log(`large message: ${large.status}`);
