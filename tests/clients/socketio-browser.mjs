// The stock socket.io-client bundle in a real browser, on a page of another origin than the gateway's.
//
// tests/it/socketio_browser.rs starts it; URL lists ORIGIN as allowed, URL_REFUSED lists another.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { Page, eventually, withBrowser } from "./devtools.mjs";
import { range, tell, tokenOf, url } from "./socketio/harness.mjs";
import { Native } from "./socketio/native.mjs";
import { Proxy } from "./socketio/proxy.mjs";

const { BROWSER: browser, ORIGIN, URL_REFUSED } = process.env;
const BUNDLE = readFileSync(new URL("node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url));
const PAGE = '<!doctype html><meta charset="utf-8"><title>chat</title><script src="/socket.io.min.js"></script>';

/** Serves the page and the bundle; the browser is told that ORIGIN's host is here. */
async function serve() {
  const server = http.createServer((request, response) => {
    const isBundle = request.url === "/socket.io.min.js";
    response.setHeader("content-type", isBundle ? "text/javascript" : "text/html");
    response.end(isBundle ? BUNDLE : PAGE);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server.address().port;
}

/** In the page: a client that notes what happens to it, with bytes as lists that can be shown outside. */
function connect(address, options) {
  const plain = (value) => {
    if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
    if (value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return value.map(plain);
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plain(entry)]));
  };
  const socket = io(address, options);
  window.socket = socket;
  window.noted = { transports: [], events: [], errors: [], recovered: [] };
  socket.on("connect", () => noted.recovered.push(socket.recovered));
  socket.on("connect_error", (error) => noted.errors.push({ message: error.message, data: error.data }));
  socket.onAny((event, data) => noted.events.push({ event, data: plain(data) }));
  socket.io.on("open", () => {
    noted.transports.push(socket.io.engine.transport.name);
    socket.io.engine.on("upgrade", ({ name }) => noted.transports.push(name));
  });
}

class ClientPage extends Page {
  connect(address, options) {
    return this.evaluate(`(${connect})(${JSON.stringify(address)}, ${JSON.stringify(options)})`);
  }

  noted() {
    return this.evaluate("noted");
  }

  /** The ack of an event whose data is an expression. */
  request(event, data) {
    return this.evaluate(`socket.timeout(20000).emitWithAck(${JSON.stringify(event)}, ${data})`);
  }

  say(room, content) {
    return this.request("message:send", `{ roomId: ${JSON.stringify(room)}, content: ${content} }`);
  }

  /** The contents of all messages that have come, when they are `count`. */
  async contents(count) {
    const messages = async () =>
      (await this.noted()).events.filter(({ event }) => event === "message:received").map(({ data }) => data.content);
    await eventually(`${count} messages on the page`, async () => (await messages()).length >= count);
    return messages();
  }
}

async function openClient(devtools, address, options) {
  const page = await ClientPage.open(devtools, ORIGIN);
  await eventually("the bundle", () => page.evaluate("location.origin !== 'null' && typeof io === 'function'"));
  assert.equal(await page.evaluate("location.origin"), ORIGIN);
  await page.connect(address, options);
  return page;
}

async function chats(devtools) {
  const ben = await Native.open("ben", "event");
  await ben.request("room:join", { roomId: "lobby" });
  const proxy = await Proxy.before(url);
  const page = await openClient(devtools, proxy.url, { auth: { token: tokenOf("ana") } });
  await eventually("an upgrade", async () => (await page.noted()).transports.length === 2);
  assert.deepEqual((await page.noted()).transports, ["polling", "websocket"]);
  tell("connected by polling, then upgraded");

  assert.equal((await page.request("room:join", "{ roomId: 'lobby' }")).members, 2);
  const sent = await page.say("lobby", "'hello from the page'");
  const received = await ben.expectEvent("message:received");
  assert.deepEqual([received.id, received.senderId, received.content], [sent.id, "ana", "hello from the page"]);
  await ben.request("message:send", { roomId: "lobby", content: "hello from ben" });
  await page.say("lobby", "{ file: new Uint8Array([0, 1, 255]).buffer }");
  await ben.expectEvent("message:received");
  const base64 = { _base64: Buffer.from([0, 1, 255]).toString("base64") };
  assert.deepEqual((await ben.expectEvent("message:received")).content, { file: base64 });
  const contents = ["hello from the page", "hello from ben", { file: { bytes: [0, 1, 255] } }];
  assert.deepEqual(await page.contents(3), contents);
  tell("the page and a native client see each other's messages");

  proxy.cut();
  await eventually("a loss", () => page.evaluate("!socket.connected"));
  for (const number of range(0, 10)) await ben.request("message:send", { roomId: "lobby", content: number });
  proxy.restore();
  assert.deepEqual(await page.contents(13), [...contents, ...range(0, 10)]);
  await eventually("a connection", async () => (await page.noted()).recovered.length === 2);
  assert.deepEqual((await page.noted()).recovered, [false, true]);
  tell("cut, and recovered");
  ben.close();
  proxy.close();
}

async function pollsWithHeaders(devtools) {
  // A header of the page's own makes the browser ask first whether it may be sent.
  const extraHeaders = { Authorization: `Bearer ${tokenOf("cid")}` };
  const page = await openClient(devtools, url, { transports: ["polling"], extraHeaders });
  assert.equal((await page.request("connection:session-info", "{}")).userId, "cid");
  assert.deepEqual((await page.noted()).transports, ["polling"]);
  tell("polls with a token in a header");
}

async function isTold(devtools) {
  const page = await openClient(devtools, url, { auth: { token: "nonsense" } });
  await eventually("a refusal", async () => (await page.noted()).errors.length > 0);
  assert.equal((await page.noted()).errors[0].data.code, "AUTH_FAILED");
  tell("a bad token is refused readably");
}

async function isRefused(devtools) {
  const answer = await fetch(`${URL_REFUSED}/socket.io/?EIO=4&transport=polling`, { headers: { origin: ORIGIN } });
  assert.deepEqual([answer.status, (await answer.json()).code], [403, 4]);
  for (const [transport, message] of [["polling", "xhr poll error"], ["websocket", "websocket error"]]) {
    const page = await openClient(devtools, URL_REFUSED, { auth: { token: tokenOf("ana") }, transports: [transport] });
    await eventually("a second refusal", async () => (await page.noted()).errors.length > 1);
    const { errors, transports } = await page.noted();
    assert(errors.every((error) => error.message === message), JSON.stringify(errors));
    assert.deepEqual(transports, [], "it never opened");
  }
  tell("refused where its origin is not listed");
}

const port = await serve();
const here = `--host-resolver-rules=MAP ${new URL(ORIGIN).hostname}:80 127.0.0.1:${port}`;
await withBrowser(browser, [here], async (devtools) => {
  await chats(devtools);
  await pollsWithHeaders(devtools);
  await isTold(devtools);
  await isRefused(devtools);
});
process.exit(0);
