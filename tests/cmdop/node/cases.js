// The cases of the published Node SDK, unmodified, against a fleetmux relay: `node cases.js ID`.
// A case that needs something done to the fleet prints `ask WORDS` and reads `ok`.
'use strict';
const assert = require('node:assert/strict');
const readline = require('node:readline');
const crypto = require('node:crypto');
const sdk = require('@cmdop/node');
const { CMDOPClient } = sdk;

const env = process.env;
const [ONE, TWO] = [env.CASE_ONE, env.CASE_TWO];
const BAD = 'cmdop_' + 'x'.repeat(43);
const [SIGHUP, SIGINT, SIGSTOP] = [1, 2, 19];

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(words) {
  process.stdout.write(`ask ${words}\n`);
  assert.equal((await answers.next()).value, 'ok');
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
/** Waits for a fact. */
async function until(what, holds, ms = 40000) {
  for (const end = Date.now() + ms; Date.now() < end; await pause()) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`never: ${what}`);
}

const remote = (key = env.CASE_KEY, options = {}) =>
  CMDOPClient.remote(key, { server: env.CASE_SERVER, insecure: env.CASE_TLS !== '1', ...options });

/** A client whose terminal is at the default session of a machine. */
async function at(host = ONE, key) {
  const client = remote(key);
  const machine = await client.terminal.setMachine(host);
  return { client, terminal: client.terminal, sid: machine.sessionId, machine };
}

async function fails(name, call) {
  const error = await call().then(() => null, (error) => error);
  assert.ok(error, `${name} was expected, and nothing failed`);
  assert.equal(error.constructor.name, name, `${error.constructor.name}: ${error.message}`);
  return error;
}

/** What a session has printed so far. */
const printed = async (terminal, sid) => (await terminal.getOutput(sid)).data;
const shows = (terminal, text, sid) =>
  until(`${text} is printed`, async () => (await printed(terminal, sid)).includes(text));

class Attached {
  constructor(terminal, sid, options) {
    this.out = Buffer.alloc(0);
    this.events = [];
    this.stream = terminal.attach(sid, options);
    this.stream.on((event) => {
      this.events.push(event);
      if (event.type === 'output') this.out = Buffer.concat([this.out, event.data]);
    });
    this.over = this.stream.connect().then(() => { this.isOver = true; });
  }
  has(type) { return this.events.find((event) => event.type === type); }
  ready() { return until('the stream is ready', () => this.has('sessionReady')); }
  shows(text) { return until(`${JSON.stringify(text)} arrives`, () => this.out.includes(text)); }
  ended(type) { return until(`the stream ends with ${type}`, () => this.isOver && this.has(type)); }
  /** Runs a command whose echo does not look like its output. */
  type(text) { this.stream.sendInput(text); }
  async close() { this.stream.close(); await this.over; }
}
async function attach(terminal, sid, options) {
  const attached = new Attached(terminal, sid, options);
  await attached.ready();
  return attached;
}

/** A foreground job that says when it runs. */
const job = (mark) => `sh -c 'echo on-"$0"; exec sleep 1000' ${mark}\n`;

/** Starts a foreground job, sends it something, and reads the status the shell saw. */
async function statusAfter(terminal, send) {
  const mark = crypto.randomBytes(4).toString('hex');
  await terminal.sendInput(job(mark));
  await shows(terminal, `on-${mark}`);
  await send();
  await terminal.sendInput(`echo "st=$?=${mark.slice(0, 4)}"_${mark.slice(4)}\n`);
  const status = new RegExp(`st=(\\d+)=${mark.slice(0, 4)}_${mark.slice(4)}`);
  return until('the job has ended', async () => {
    const found = status.exec((await printed(terminal)).toString('latin1'));
    return found && Number(found[1]);
  });
}

const run = async (terminal, command, options) => {
  const done = await terminal.execute(command, { timeoutMs: 20000, ...options });
  return [done.output, done.exitCode];
};

const cases = {
  'N-AUTH-01': async () => {
    const health = await remote().healthCheck();
    assert.equal(health.healthy, true);
    assert.match(health.version, /^\d+\.\d+/);
    assert.ok((await remote().terminal.list()).workspaceName);
  },
  'N-AUTH-02': async () => {
    const error = await remote(BAD).healthCheck().then(() => null, (error) => error);
    assert.equal(error?.code, 16);
  },
  'N-AUTH-03': async () => { await fails('InvalidAPIKeyError', () => remote(BAD).terminal.list()); },
  'N-AUTH-04': async () => {
    const { sid } = await at();
    const attached = new Attached(remote(BAD).terminal, sid);
    const { error } = await attached.ended('error');
    assert.equal(error.constructor.name, 'InvalidAPIKeyError');
    assert.ok(!attached.has('sessionReady') && !attached.has('output'));
  },
  'N-AUTH-05': async () => {
    const { sid } = await at();
    const { terminal, files, agent, skills } = remote(BAD);
    files.setSessionId(sid);
    const calls = [
      () => terminal.sendInput(sid, 'x'), () => terminal.getOutput(sid), () => terminal.resize(sid, 80, 24),
      () => terminal.signal(sid, 2), () => terminal.getStatus(sid), () => terminal.create(), () => terminal.close(sid),
      () => terminal.setMachine(ONE), () => terminal.getHistory(sid), () => files.list('/'), () => agent.run('x'),
      () => skills.list(),
    ];
    for (const call of calls) await fails('InvalidAPIKeyError', call);
  },
  'N-NET-01': async () => {
    await fails('AgentOfflineError', () => remote(undefined, { server: '127.0.0.1:1' }).terminal.list());
  },
  'N-NET-02': async () => {
    const client = remote();
    const all = await Promise.all(Array.from({ length: 40 }, () => client.terminal.list()));
    assert.ok(all.every((list) => list.total === 1));
  },
  'N-TLS-01': async () => {
    const { terminal } = await at();
    assert.deepEqual(await run(terminal, 'echo $((40+2))'), ['42', 0]);
  },
  'N-TLS-02': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('echo t$((1+1))s\n');
    await attached.shows('t2s');
    await attached.close();
  },
  'N-TLS-03': async () => { await fails('AgentOfflineError', () => remote().terminal.list()); },
  'N-TLS-04': async () => {
    await fails('AgentOfflineError', () => remote(undefined, { insecure: true }).terminal.list());
    await fails('AgentOfflineError', () => remote(undefined, { server: env.CASE_PLAIN, insecure: false }).terminal.list());
  },
  'N-SES-01': async () => {
    const { sessions, total, workspaceName } = await remote().terminal.list();
    const mine = sessions.find((session) => session.hostname === ONE);
    assert.ok(mine, JSON.stringify(sessions));
    assert.equal(mine.status, 'connected');
    assert.equal(mine.os, 'linux');
    assert.equal(total, 2);
    assert.equal(workspaceName, 'default');
  },
  'N-SES-02': async () => {
    const { terminal } = remote();
    const list = async (options) => (await terminal.list(options)).sessions.map((session) => session.hostname);
    assert.deepEqual(await list({ hostname: ONE.slice(2).toUpperCase() }), [ONE]);
    assert.deepEqual(await list({ hostname: 'nobody-is-called-so' }), []);
    assert.deepEqual(await list({ status: 'disconnected' }), []);
    assert.equal((await list({ status: 'connected' })).length, 2);
  },
  'N-SES-03': async () => {
    const { terminal } = remote();
    const all = (await terminal.list()).sessions.map((session) => session.sessionId);
    const first = await terminal.list({ limit: 1 });
    assert.deepEqual([first.sessions.length, first.total], [1, 2]);
    const second = await terminal.list({ limit: 1, offset: 1 });
    assert.deepEqual([second.sessions.length, second.total], [1, 2]);
    const both = [...first.sessions, ...second.sessions].map((session) => session.sessionId);
    assert.deepEqual(new Set(both), new Set(all));
    assert.deepEqual((await terminal.list({ offset: 9 })).sessions, []);
  },
  'N-SES-04': async () => {
    const { machine } = await at();
    assert.deepEqual([machine.hostname, machine.status, machine.os, machine.hasShell], [ONE, 'connected', 'linux', true]);
    assert.match(machine.sessionId, /^[0-9a-f-]{36}$/);
  },
  'N-SES-05': async () => {
    const { terminal, sid } = await at();
    await run(terminal, 'true');
    assert.ok((await terminal.list()).sessions.some((session) => session.sessionId === sid));
    const status = await terminal.getStatus(sid);
    assert.deepEqual([status.exists, status.hostname], [true, ONE]);
    assert.equal((await terminal.getStatus(crypto.randomUUID())).exists, false);
  },
  'N-SES-06': async () => {
    const { terminal } = remote();
    assert.equal((await terminal.setMachine(ONE, false)).hostname, ONE);
    await fails('SessionError', () => terminal.setMachine(ONE.slice(2), false));
    assert.equal((await terminal.setMachine(ONE.slice(2).toUpperCase())).hostname, ONE);
  },
  'N-SES-07': async () => {
    const error = await fails('SessionError', () => remote().terminal.setMachine('nobody-is-called-so'));
    assert.match(error.message, /no machine is called/);
  },
  'N-SES-08': async () => {
    const client = remote();
    for (const service of [client.terminal, client.files, client.agent, client.skills]) {
      const error = await fails('SessionError', () => service.setMachine('web-'));
      assert.match(error.message, /2 machines/);
    }
  },
  'N-SES-09': async () => {
    const client = remote();
    await client.setMachine(ONE);
    const sids = [client.terminal, client.files, client.agent, client.skills].map((service) => service.getSessionId());
    assert.equal(new Set(sids).size, 1);
  },
  'N-SES-10': async () => {
    const { terminal } = remote();
    assert.equal((await terminal.getActiveSession({ hostname: ONE })).hostname, ONE);
    assert.equal(await terminal.getActiveSession({ hostname: 'nobody-is-called-so' }), undefined);
  },
  'N-SES-11': async () => {
    const { sid } = await at();
    const client = remote();
    client.setSessionId(sid);
    const created = await client.terminal.create();
    assert.equal((await client.terminal.getStatus(created.sessionId)).hostname, ONE);
  },
  'N-SES-12': async () => {
    const { terminal, sid } = await at();
    await run(terminal, 'true');
    await ask(`stop-agent ${ONE}`);
    await until('the machine is offline', async () =>
      (await terminal.list({ hostname: ONE, status: 'connected' })).total === 0);
    const error = await fails('SessionError', () => remote().terminal.setMachine(ONE));
    assert.match(error.message, /offline/);
    assert.equal(await terminal.getActiveSession({ hostname: ONE }), undefined);
    await fails('AgentOfflineError', () => terminal.sendInput(sid, 'x'));
  },
  'N-CRE-01': async () => {
    const client = remote(undefined, { agentId: ONE });
    const { sessionId } = await client.terminal.create({ cols: 111, rows: 33, env: { CASE: 'of env' }, workingDir: '/usr' });
    client.terminal.setSessionId(sessionId);
    assert.deepEqual(await run(client.terminal, 'stty size; echo "$CASE"; pwd'), ['33 111\nof env\n/usr', 0]);
    assert.ok((await client.terminal.list()).sessions.some((session) => session.sessionId === sessionId));
  },
  'N-CRE-02': async () => {
    const { terminal } = remote();
    const [a, b] = [await terminal.create(), await terminal.create()];
    assert.notEqual(a.sessionId, b.sessionId);
    await terminal.close(a.sessionId);
    assert.deepEqual(await run(terminal, 'echo alive', { sessionId: b.sessionId }), ['alive', 0]);
  },
  'N-CRE-03': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    assert.deepEqual(await run(terminal, 'true', { sessionId }), ['', 0]);
    await terminal.close(sessionId, { reason: 'done' });
    await fails('NotFoundError', () => terminal.sendInput(sessionId, 'x'));
    await fails('NotFoundError', () => terminal.getOutput(sessionId));
    await fails('NotFoundError', () => terminal.close(sessionId));
    assert.ok(!(await terminal.list()).sessions.some((session) => session.sessionId === sessionId));
  },
  'N-CRE-04': async () => {
    const { terminal } = remote();
    const error = await terminal.create({ shell: '/no/such/shell' }).then(() => null, (error) => error);
    assert.match(error?.message ?? '', /no\/such\/shell/);
    await fails('NotFoundError', () => terminal.close(crypto.randomUUID()));
  },
  'N-EXE-01': async () => {
    const { terminal } = await at();
    assert.deepEqual(await run(terminal, 'echo hello'), ['hello', 0]);
  },
  'N-EXE-02': async () => {
    const { terminal } = await at();
    for (const code of [0, 1, 7, 255]) assert.deepEqual(await run(terminal, `(exit ${code})`), ['', code]);
    assert.equal((await run(terminal, 'no-such-command-here'))[1], 127);
  },
  'N-EXE-03': async () => {
    const { terminal } = await at();
    const [output, code] = await run(terminal, 'seq 1 3000');
    assert.equal(code, 0);
    assert.deepEqual(output.split('\n'), Array.from({ length: 3000 }, (_, n) => String(n + 1)));
  },
  'N-EXE-04': async () => {
    const { terminal } = await at();
    await terminal.sendInput('seq -w 1 50000; echo "fl"oo"d"ed\n');
    await until('the flood is over', async () =>
      (await terminal.getOutput(undefined, { limit: 200 })).data.includes('flooded'));
    assert.deepEqual(await run(terminal, 'echo after'), ['after', 0]);
  },
  'N-EXE-05': async () => {
    const { terminal } = await at();
    const start = Date.now();
    assert.equal((await terminal.execute('sleep 4', { timeoutMs: 1000 })).exitCode, -1);
    assert.ok(Date.now() - start < 3500);
    assert.deepEqual(await run(terminal, 'echo next'), ['next', 0]);
  },
  'N-EXE-06': async () => {
    const { terminal } = await at();
    const all = await Promise.all(['a', 'b', 'c', 'd'].map((name) => run(terminal, `echo is-${name}; (exit ${name.charCodeAt(0) - 96})`)));
    assert.deepEqual(all, [['is-a', 1], ['is-b', 2], ['is-c', 3], ['is-d', 4]]);
  },
  'N-EXE-07': async () => {
    const { terminal } = await at();
    const unknown = await terminal.execute('true', { sessionId: crypto.randomUUID(), timeoutMs: 2000 });
    assert.equal(unknown.exitCode, -1);
    assert.match(unknown.output, /not ?found/i);
  },
  'N-EXE-08': async () => {
    const { terminal } = await at();
    assert.deepEqual(await run(terminal, 'echo out; echo err >&2; echo last'), ['out\nerr\nlast', 0]);
    await run(terminal, 'cd /usr/bin; KEPT=yes');
    assert.deepEqual(await run(terminal, 'pwd; echo $KEPT'), ['/usr/bin\nyes', 0]);
  },
  'N-EXE-09': async () => {
    // The widened window: a command that prints more than the SDK asks for.
    const { terminal } = await at();
    const [output, code] = await run(terminal, 'seq -w 1 28000');
    assert.equal(code, 0);
    assert.equal(output.split('\n').length, 28000);
    assert.deepEqual(await run(terminal, 'echo still here'), ['still here', 0]);
  },
  'N-EXE-10': async () => {
    const { terminal } = remote();
    const made = await Promise.all([1, 2, 3].map(() => terminal.create()));
    const start = Date.now();
    const done = await Promise.all(made.map(({ sessionId }) => run(terminal, 'sleep 1.5; echo slept', { sessionId })));
    assert.deepEqual(done, [['slept', 0], ['slept', 0], ['slept', 0]]);
    assert.ok(Date.now() - start < 4400, 'they ran one after the other');
  },
  'N-EXE-11': async () => {
    const { terminal } = await at();
    assert.deepEqual(await run(terminal, `printf '%s|' "a b" 'c"d' '$x' \\\\; echo`), ['a b|c"d|$x|\\|', 0]);
    assert.deepEqual(await run(terminal, `printf 'no newline'`), ['no newline', 0]);
    const long = 'x'.repeat(3000);
    assert.deepEqual(await run(terminal, `v=${long}; echo \${#v}`), ['3000', 0]);
    for (let n = 0; n < 20; n++) assert.deepEqual(await run(terminal, `echo n=$((${n}+0))`), [`n=${n}`, 0]);
  },
  'N-IO-01': async () => {
    const { terminal } = await at();
    await terminal.sendInput('echo s$((1+1))r\n');
    await shows(terminal, 's2r');
    await terminal.sendInput(Buffer.from('echo b$((2+2))s\n'));
    await shows(terminal, 'b4s');
  },
  'N-IO-02': async () => {
    const { terminal } = await at();
    await terminal.resize(120, 40);
    assert.deepEqual(await run(terminal, 'stty size'), ['40 120', 0]);
  },
  'N-IO-03': async () => {
    const { terminal } = await at();
    assert.equal(await statusAfter(terminal, () => terminal.signal('SIGINT')), 130);
    assert.deepEqual(await run(terminal, 'echo alive'), ['alive', 0]);
  },
  'N-IO-04': async () => {
    const { terminal } = await at();
    assert.equal(await statusAfter(terminal, () => terminal.signal('SIGTERM')), 143);
  },
  'N-IO-05': async () => {
    const { terminal } = await at();
    assert.equal(await statusAfter(terminal, () => terminal.signal('SIGKILL')), 137);
    assert.equal(await statusAfter(terminal, () => terminal.signal(SIGHUP)), 129);
  },
  'N-IO-06': async () => {
    const { terminal } = await at();
    assert.equal(await statusAfter(terminal, () => terminal.signal(SIGSTOP)), 147);
    assert.deepEqual(await run(terminal, 'echo alive'), ['alive', 0]);
  },
  'N-IO-07': async () => {
    const { terminal } = remote();
    const sid = crypto.randomUUID();
    const calls = [
      () => terminal.sendInput(sid, 'x'), () => terminal.resize(sid, 80, 24), () => terminal.signal(sid, 2),
      () => terminal.getOutput(sid), () => terminal.getHistory(sid), () => terminal.close(sid),
    ];
    for (const call of calls) await fails('NotFoundError', call);
    await fails('NotFoundError', () => terminal.sendInput('curl -o x http://example.org', 'x'));
  },
  'N-IO-08': async () => {
    const { terminal } = await at();
    const history = await terminal.getHistory();
    assert.ok(Array.isArray(history.commands));
  },
  'N-ATT-01': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('echo a$((3+4))z\n');
    await attached.shows('a7z');
    await attached.close();
  },
  'N-ATT-02': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('stty size\n');
    await attached.shows('24 80');
    attached.stream.sendResize(133, 44);
    attached.type('stty size\n');
    await attached.shows('44 133');
    await attached.close();
  },
  'N-ATT-03': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    for (const [mark, signal] of [['number', SIGINT], ['name', 'SIGINT']]) {
      attached.type(job(mark));
      await attached.shows(`on-${mark}`);
      attached.stream.sendSignal(signal);
      attached.type(`echo "${mark}=$?"_\n`);
      await attached.shows(`${mark}=130_`);
    }
    await attached.close();
  },
  'N-ATT-04': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('stty -echo; PS1=; seq -w 1 84300; echo "en""d"\n');
    await attached.shows('\nend\r\n');
    const lines = attached.out.toString().split('\r\n');
    const first = lines.findIndex((line) => line.endsWith('00001'));
    const got = lines.slice(first + 1, first + 84300);
    assert.ok(got.every((line, n) => line === String(n + 2).padStart(5, '0')), 'lines are missing or out of order');
    await attached.close();
  },
  'N-ATT-05': async () => {
    const one = await at();
    const two = await at();
    assert.equal(one.sid, two.sid);
    const [a, b] = [await attach(one.terminal, one.sid), await attach(two.terminal, two.sid)];
    a.type('echo fr$((0+0))m-a\n');
    await a.shows('fr0m-a');
    b.type('echo fr$((0+0))m-b\n');
    for (const attached of [a, b]) { await attached.shows('fr0m-a'); await attached.shows('fr0m-b'); }
    await Promise.all([a.close(), b.close()]);
    const tail = (out) => out.subarray(out.indexOf('fr0m-a'), out.indexOf('fr0m-b') + 6);
    assert.deepEqual(tail(a.out), tail(b.out));
  },
  'N-ATT-06': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type(`stty -echo; PS1=; printf 'be''gin\\303\\251\\200\\377\\000\\342\\234'; sleep 0.2; printf '\\223en''d'\n`);
    await attached.shows('end');
    const all = attached.out;
    const got = all.subarray(all.lastIndexOf('begin') + 5, all.lastIndexOf('end'));
    assert.deepEqual([...got], [0xc3, 0xa9, 0x80, 0xff, 0, 0xe2, 0x9c, 0x93]);
    // A character whose bytes are typed one by one.
    attached.type('stty echo; echo g$((0)); cat\n');
    await attached.shows('g0');
    for (const byte of Buffer.from('✓!\n')) attached.type(Buffer.from([byte]));
    await attached.shows('✓!\r\n✓!\r\n');
    attached.type('\x04');
    await attached.close();
  },
  'N-ATT-07': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    const attached = await attach(terminal, sessionId);
    await terminal.close(sessionId);
    await attached.ended('closed');
    assert.ok(!attached.has('error'));
  },
  'N-ATT-08': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    const attached = await attach(terminal, sessionId);
    attached.type('exit 3\n');
    await attached.ended('closed');
    assert.ok(!attached.has('error'));
    await until('the session is unknown', async () => !(await terminal.getStatus(sessionId)).exists);
  },
  'N-ATT-09': async () => {
    const attached = new Attached(remote().terminal, crypto.randomUUID());
    assert.equal((await attached.ended('error')).error.constructor.name, 'NotFoundError');
    assert.ok(!attached.has('sessionReady'));
  },
  'N-ATT-10': async () => {
    const { terminal, sid } = await at();
    const first = await attach(terminal, sid);
    first.type('n=0; while :; do n=$((n+1)); echo "tick-$n"; sleep 0.05; done\n');
    await first.shows('tick-3\r\n');
    await first.close();
    const again = await attach(terminal, sid);
    await until('new ticks', () => /tick-\d+\r\n/.test(again.out.toString()));
    again.stream.sendSignal(SIGINT);
    again.type('echo st$((1+1))pped\n');
    await again.shows('st2pped');
    await again.close();
  },
  'N-ATT-11': async () => {
    // A client that half-closes is let go at once, and the session lives.
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    const start = Date.now();
    await attached.close();
    assert.ok(Date.now() - start < 3000);
    assert.ok(!attached.has('error') && !attached.has('closed'));
    assert.deepEqual(await run(terminal, 'echo alive'), ['alive', 0]);
  },
  'N-ATT-12': async () => {
    const { client, terminal, sid } = await at();
    const { sessionId } = await terminal.create();
    const [a, b] = [await attach(terminal, sid), await attach(terminal, sessionId)];
    a.type('echo wh$((1))ch-a\n');
    b.type('echo wh$((1))ch-b\n');
    await Promise.all([a.shows('wh1ch-a'), b.shows('wh1ch-b')]);
    assert.ok(!a.out.includes('wh1ch-b') && !b.out.includes('wh1ch-a'));
    const eight = await Promise.all(Array.from({ length: 8 }, () => attach(client.terminal, sid)));
    eight[3].type('echo t$((0))all\n');
    await Promise.all(eight.map((attached) => attached.shows('t0all')));
    await Promise.all([a, b, ...eight].map((attached) => attached.close()));
    for (let n = 0; n < 50; n++) await (await attach(terminal, sid)).close();
    assert.deepEqual(await run(terminal, 'echo alive'), ['alive', 0]);
  },
  'N-STR-01': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    const stream = terminal.stream(sessionId, { pollIntervalMs: 20 });
    let out = Buffer.alloc(0);
    stream.on((event) => { if (event.type === 'output') out = Buffer.concat([out, event.data]); });
    void stream.connect();
    await until('the prompt', () => out.length > 0);
    await stream.sendInput('stty -echo; PS1=; seq -w 1 15600; echo "en""d"; exec sleep 1000\n');
    await until('the end', () => out.includes('\nend\r\n'));
    const whole = (await terminal.getOutput(sessionId)).data;
    await until('all of it', () => out.length >= whole.length);
    assert.deepEqual(out.subarray(0, whole.length), whole);
    await stream.close();
  },
  'N-STR-02': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    const stream = terminal.stream(sessionId, { pollIntervalMs: 20 });
    let out = '';
    stream.on((event) => { if (event.type === 'output') out += event.data; });
    void stream.connect();
    await until('it is connected', () => out.length > 0);
    await stream.sendResize(101, 31);
    await stream.sendInput('stty size\n');
    await until('the size', () => out.includes('31 101'));
    await stream.sendInput(job('job'));
    await until('the job runs', () => out.includes('on-job'));
    await stream.sendSignal('SIGINT');
    await stream.sendInput('echo "st=$?"_\n');
    await until('it was interrupted', () => out.includes('st=130_'));
    await stream.close();
  },
  'N-STR-03': async () => {
    const { terminal } = remote();
    const { sessionId } = await terminal.create();
    const stream = terminal.stream(sessionId, { pollIntervalMs: 20 });
    const errors = [];
    stream.on((event) => { if (event.type === 'error') errors.push(event.error); });
    void stream.connect();
    await terminal.close(sessionId);
    await until('an error', () => errors.length > 0);
    await stream.close();
  },
  'N-PWD-01': async () => {
    await ask(`password ${ONE}`);
    const { client, terminal, sid } = await at();
    await fails('PermissionError', () => terminal.sendInput('x'));
    await fails('PermissionError', () => terminal.getOutput());
    const attached = await attach(terminal, sid, { password: env.CASE_PASSWORD });
    assert.ok(attached.stream.sessionToken);
    attached.type('echo l$((1))t-in\n');
    await attached.shows('l1t-in');
    await attached.close();
    client.setSessionId(sid);
    client.terminal.setSessionId(sid);
    assert.deepEqual(await run(client.terminal, 'echo with a token'), ['with a token', 0]);
  },
  'N-PWD-02': async () => {
    await ask(`password ${ONE}`);
    const { terminal, sid } = await at();
    for (const password of ['wrong password', '']) {
      const attached = new Attached(terminal, sid, { password: password || undefined });
      const { error } = await attached.ended('error');
      assert.equal(error.constructor.name, 'InvalidAPIKeyError');
      assert.ok(!attached.has('sessionReady') && !attached.stream.sessionToken);
      if (password) process.env.CMDOP_AGENT_PASSWORD = 'another wrong one';
    }
    await fails('PermissionError', () => terminal.sendInput('x'));
  },
  'N-OBS-01': async () => {
    const { terminal, sid } = await at();
    await run(terminal, 'true');
    const { terminal: looks } = await at(ONE, env.CASE_OBSERVER);
    assert.ok((await looks.list()).total >= 1);
    const attached = await attach(looks, sid);
    attached.stream.sendResize(50, 20);
    await terminal.sendInput('echo l$((0))ok; stty size\n');
    await attached.shows('l0ok');
    await attached.shows('24 80');
    attached.type('echo ty$((1))ed\n');
    const { error } = await attached.ended('error');
    assert.equal(error.constructor.name, 'PermissionError');
    assert.ok(!attached.out.includes('ty1ed'));
    for (const call of [() => looks.sendInput(sid, 'x'), () => looks.resize(sid, 9, 9), () => looks.signal(sid, 2),
      () => looks.close(sid), () => remote(env.CASE_OBSERVER).terminal.create()]) await fails('PermissionError', call);
    assert.ok((await looks.getOutput(sid)).data.includes('l0ok'));
  },
  'N-AGT-01': async () => {
    const client = remote();
    const error = await client.agent.run('hello').then(() => null, (error) => error);
    assert.equal(error?.code, 'UNIMPLEMENTED');
    assert.match(error.message, /does not offer AI agents/);
  },
  'N-AGT-02': async () => {
    const error = await remote().agent.stream('hello').start().then(() => null, (error) => error);
    assert.match(String(error?.message), /does not offer AI agents/);
  },
  'N-SKL-01': async () => {
    for (const call of [(skills) => skills.list(), (skills) => skills.show('x'), (skills) => skills.run('x', 'y')]) {
      const error = await call(remote().skills).then(() => null, (error) => error);
      assert.equal(error?.code, 'UNIMPLEMENTED');
    }
    const error = await remote().extract.run('x', '{}').then(() => null, (error) => error);
    assert.equal(error?.code, 'UNIMPLEMENTED');
  },
  'N-LOC-01': async () => {
    const client = await CMDOPClient.discover();
    assert.equal(client.mode, 'local');
    const { sessionId } = await client.terminal.create();
    client.terminal.setSessionId(sessionId);
    assert.deepEqual(await run(client.terminal, 'echo local'), ['local', 0]);
    const attached = await attach(client.terminal, sessionId);
    attached.type('echo l$((0))cal\n');
    await attached.shows('l0cal');
    await attached.close();
  },
  'N-OFF-01': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('KEPT=yes; echo s$((3))t\n');
    await attached.shows('s3t');
    await ask(`stop-agent ${ONE}`);
    await attached.ended('error');
    assert.equal(attached.has('error').error.constructor.name, 'AgentOfflineError');
    await fails('AgentOfflineError', () => terminal.sendInput('x'));
    assert.ok(!(await terminal.list({ status: 'connected' })).sessions.some((session) => session.hostname === ONE));
    await ask(`start-agent ${ONE}`);
    assert.deepEqual(await run(terminal, 'echo $KEPT'), ['yes', 0]);
    const again = await attach(terminal, sid);
    again.type('echo ag$((4))in\n');
    await again.shows('ag4in');
    await again.close();
  },
  'N-REL-01': async () => {
    const { terminal, sid } = await at();
    const attached = await attach(terminal, sid);
    attached.type('KEPT=yes; echo s$((3))t\n');
    await attached.shows('s3t');
    await ask('restart-relay');
    await attached.ended('error');
    const found = await until('the machine is back', () => terminal.setMachine(ONE).catch(() => null));
    assert.equal(found.sessionId, sid);
    assert.deepEqual(await run(terminal, 'echo $KEPT'), ['yes', 0]);
    const again = await attach(terminal, sid);
    again.type('echo ag$((4))in\n');
    await again.shows('ag4in');
    await again.close();
  },
};

Object.assign(cases, require('./files.js')({ at, remote, fails }));

const id = process.argv[2];
if (id === '--list') {
  process.stdout.write(Object.keys(cases).join('\n') + '\n');
  process.exit(0);
}
cases[id]().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${id}: ${error.stack}\n`);
    process.exit(1);
  },
);
