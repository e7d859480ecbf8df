// The cases about files, for cases.js: the machine's files are this machine's.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

module.exports = ({ at, remote, fails }) => {
  /** The file service at a machine, and a directory of the case's own. */
  const files = async (key) => {
    const { client, sid } = await at(undefined, key);
    client.files.setSessionId(sid);
    const root = path.join(fs.realpathSync(process.env.CASE_DIR), 'files');
    fs.mkdirSync(root, { recursive: true });
    return { client, sid, files: client.files, root };
  };

  return {
    'N-FIL-01': async () => {
      const { files: service, root } = await files();
      const made = await service.mkdir(`${root}/a/b`, { recursive: true });
      assert.deepEqual([made.type, made.path, made.name], ['directory', `${root}/a/b`, 'b']);
      await fails('CMDOPError', () => service.mkdir(`${root}/a/b`));
      await fails('NotFoundError', () => service.mkdir(`${root}/x/y`));
    },
    'N-FIL-02': async () => {
      const { files: service, root } = await files();
      const written = await service.write(`${root}/f.txt`, 'héllo ✓');
      assert.deepEqual([written.bytesWritten, written.entry.path, written.entry.size], [10, `${root}/f.txt`, 10]);
      await service.write(`${root}/f.txt`, 'second', { overwrite: true });
      const read = await service.read(`${root}/f.txt`);
      assert.equal(read.content.toString(), 'second');
      assert.deepEqual([read.totalSize, read.isTruncated, read.mimeType], [6, false, 'text/plain']);
      await service.write(`${root}/new/dir/f`, Buffer.from([0, 255]), { createParents: true });
      assert.deepEqual([...fs.readFileSync(`${root}/new/dir/f`)], [0, 255]);
    },
    'N-FIL-03': async () => {
      const { files: service, root } = await files();
      fs.writeFileSync(`${root}/digits`, '0123456789');
      const part = await service.read(`${root}/digits`, { offset: 2, length: 3 });
      assert.deepEqual([part.content.toString(), part.totalSize, part.isTruncated], ['234', 10, true]);
      const rest = await service.read(`${root}/digits`, { offset: 7, length: 100 });
      assert.deepEqual([rest.content.toString(), rest.isTruncated], ['789', false]);
      const beyond = await service.read(`${root}/digits`, { offset: 50 });
      assert.deepEqual([beyond.content.length, beyond.totalSize], [0, 10]);
    },
    'N-FIL-04': async () => {
      const { files: service, root } = await files();
      for (let number = 0; number < 120; number += 1) fs.writeFileSync(`${root}/f${1000 + number}`, '');
      fs.writeFileSync(`${root}/.hidden`, '');
      const first = await service.list(root);
      assert.deepEqual([first.entries.length, first.totalCount], [100, 120]);
      const second = await service.list(root, { pageToken: first.nextPageToken });
      assert.deepEqual([second.entries.length, second.nextPageToken], [20, undefined]);
      assert.equal(new Set([...first.entries, ...second.entries].map((entry) => entry.path)).size, 120);
      const all = await service.list(root, { includeHidden: true, pageSize: 1000 });
      assert.ok(all.totalCount === 121 && all.entries.some((entry) => entry.name === '.hidden' && entry.isHidden));
    },
    'N-FIL-05': async () => {
      const { files: service, root } = await files();
      fs.writeFileSync(`${root}/f`, 'x');
      fs.symlinkSync('f', `${root}/link`);
      const entry = await service.stat(`${root}/f`);
      assert.deepEqual([entry.type, entry.size, entry.isReadable, entry.isWritable], ['file', 1, true, true]);
      assert.ok(Math.abs(entry.modifiedAt - Date.now()) < 600000);
      const link = await service.stat(`${root}/link`);
      assert.deepEqual([link.type, link.symlinkTarget], ['symlink', 'f']);
      assert.equal((await service.read(`${root}/link`)).content.toString(), 'x');
      assert.equal((await service.stat('/')).type, 'directory');
    },
    'N-FIL-06': async () => {
      const { files: service, root } = await files();
      fs.mkdirSync(`${root}/d/e`, { recursive: true });
      fs.writeFileSync(`${root}/d/e/f`, 'abc');
      const copied = await service.copy(`${root}/d`, `${root}/copy`, { recursive: true });
      assert.deepEqual([copied.entry.type, copied.bytesCopied], ['directory', 3]);
      assert.equal((await service.copy(`${root}/d/e/f`, `${root}/g`)).bytesCopied, 3);
      await fails('CMDOPError', () => service.move(`${root}/g`, `${root}/copy/e/f`));
      const moved = await service.move(`${root}/g`, `${root}/copy/e/f`, { overwrite: true });
      assert.equal(moved.path, `${root}/copy/e/f`);
      await fails('CMDOPError', () => service.delete(`${root}/copy`));
      assert.deepEqual(await service.delete(`${root}/copy`, { recursive: true }), { filesDeleted: 1, dirsDeleted: 2 });
      assert.deepEqual(fs.readdirSync(root), ['d']);
    },
    'N-FIL-07': async () => {
      const { files: service, client, sid, root } = await files();
      const content = crypto.randomBytes(6 << 20);
      await service.write(`${root}/large`, content);
      assert.ok(fs.readFileSync(`${root}/large`).equals(content));
      assert.ok((await service.read(`${root}/large`)).content.equals(content));
      client.download.setSessionId(sid);
      const here = `${root}/downloaded`;
      const done = await client.download.downloadFile(`${root}/large`, here, { chunkSize: 1 << 20 });
      assert.deepEqual([done.success, done.size, done.metrics.chunksCount], [true, content.length, 6]);
      assert.ok(fs.readFileSync(here).equals(content));
    },
    'N-FIL-08': async () => {
      const { files: service, root } = await files();
      fs.mkdirSync(`${root}/d`);
      await fails('NotFoundError', () => service.read(`${root}/none`));
      await fails('NotFoundError', () => service.list(`${root}/none`));
      await fails('NotFoundError', () => service.delete(`${root}/none`));
      await fails('CMDOPError', () => service.read(`${root}/d`));
      await fails('CMDOPError', () => service.write(`${root}/d`, 'x', { overwrite: true }));
      await fails('CMDOPError', () => service.read(''));
      for (const name of ['spaced name', 'ü✓', 'new\nline', '-rf', '$(reboot)']) {
        await service.write(`${root}/${name}`, name);
        assert.equal(fs.readFileSync(`${root}/${name}`, 'utf8'), name);
      }
      const observer = remote(process.env.CASE_OBSERVER);
      const { sid } = await at();
      observer.files.setSessionId(sid);
      await fails('PermissionError', () => observer.files.write(`${root}/d/x`, 'x'));
      assert.deepEqual(fs.readdirSync(`${root}/d`), []);
    },
    'N-FIL-09': async () => {
      const { files: service, root } = await files();
      fs.mkdirSync(`${root}/d`);
      fs.writeFileSync(`${root}/a.log`, '');
      fs.writeFileSync(`${root}/d/b.log`, '');
      const names = async (options) => (await service.search(root, options)).map((entry) => entry.name);
      assert.deepEqual(await names({ pattern: '*.log' }), ['a.log', 'b.log']);
      assert.deepEqual(await names({ pattern: '*.log', recursive: false }), ['a.log']);
      assert.deepEqual(await names({ pattern: '*.log', maxResults: 1 }), ['a.log']);
      const error = await fails('CMDOPError', () => service.archive([`${root}/d`], `${root}/d.zip`));
      assert.equal(error.code, 'UNIMPLEMENTED');
    },
  };
};
