// Prints the chat username and the token of a user: node sample.mjs USER
const server = process.env.TOKEN_SERVER ?? 'http://127.0.0.1:7180';

async function tokenOf(user) {
  const response = await fetch(`${server}/v1/tokens/user`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user }),
    signal: AbortSignal.timeout(20000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${answer.error}: ${answer.error_description}`);
  return answer;
}

const { username, token } = await tokenOf(process.argv[2]);
console.log(`${username} ${token}`);
