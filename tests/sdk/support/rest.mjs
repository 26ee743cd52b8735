// The REST API as a customer's back end calls it; each call goes to the next gateway.

export class Rest {
  #appToken;
  #bases;
  #calls = 0;

  constructor(restUrls, app) {
    this.#bases = restUrls.map((url) => `${url}/${app.org_name}/${app.app_name}`);
    this.app = app;
  }

  // The address of the app at the gateway whose address is public.
  get base() {
    return this.#bases[0];
  }

  // Any call; answers { status, body } whatever the status.
  async call(method, path, { body, token } = {}) {
    const headers = {};
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const base = this.#bases[this.#calls++ % this.#bases.length];
    const answer = await fetch(base + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    });
    return { status: answer.status, body: await answer.json() };
  }

  // A call with the app's own token that must succeed; answers the body.
  async admin(method, path, body) {
    const { status, body: answer } = await this.call(method, path, { body, token: await this.appToken() });
    if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
    return answer;
  }

  async appToken() {
    this.#appToken ??= this.#login({
      grant_type: 'client_credentials',
      client_id: this.app.client_id,
      client_secret: this.app.client_secret,
    });
    return this.#appToken;
  }

  // A token of the user by his password.
  async userToken(user) {
    return this.#login({ grant_type: 'password', username: user.username, password: user.password });
  }

  async #login(body) {
    const answer = await this.call('POST', '/token', { body });
    if (answer.status !== 200) throw new Error(`POST /token: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.access_token;
  }

  // A new user with a name of its own: { username, password, uuid }.
  async newUser(prefix = 'user') {
    const username = `${prefix}-${crypto.randomUUID().slice(0, 8)}`;
    const password = crypto.randomUUID();
    const { entities } = await this.admin('POST', '/users', { username, password });
    return { username, password, uuid: entities[0].uuid };
  }

  async newUsers(...prefixes) {
    return Promise.all(prefixes.map((prefix) => this.newUser(prefix)));
  }
}
