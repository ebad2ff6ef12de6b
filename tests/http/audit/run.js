// Runs every audit of GraphQL over HTTP against AUDIT_URL with the bearer token AUDIT_TOKEN.
// Standard output: one JSON object a line with id, name, status (ok, notice, warn, error) and reason. Standard error: a table for people.
// Exit code 0 when all of them ran, whatever they found: the test judges.
import { serverAudits } from 'graphql-http';

const { AUDIT_URL: url, AUDIT_TOKEN: token } = process.env;

const fetchFn = (address, options = {}) =>
  fetch(address, { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } });

const results = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason = '', response } = await audit.fn();
  await response?.body?.cancel().catch(() => {});
  results.push({ id, name, status, reason });
}

for (const result of results) console.log(JSON.stringify(result));
for (const { id, name, status, reason } of results)
  console.error(`${status.padEnd(6)} ${id}  ${name}${reason ? ` (${reason})` : ''}`);
console.error(`${results.filter(({ status }) => status === 'ok').length} of ${results.length} audits are ok`);
