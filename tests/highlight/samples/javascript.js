// poll the server
const url = 'http://localhost:8080/health';
async function poll(limit = 3) {
  for (let i = 0; i < limit; i++) {
    if (/ok$/.test(url)) return true;
    console.log(`try ${i}`);
  }
  return null;
}
