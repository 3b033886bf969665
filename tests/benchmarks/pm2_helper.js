// For each line on stdin one list over pm2's own socket; prints the pids.
const pm2 = require(process.argv[2]);
pm2.connect(false, (problem) => {
  if (problem) { console.error(problem); process.exit(1); }
  require('readline').createInterface({ input: process.stdin }).on('line', () => {
    const begin = process.hrtime.bigint();
    pm2.list((failed, list) => {
      const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
      const answer = failed ? {} : Object.fromEntries(list.map((child) => [child.name, child.pid]));
      process.stdout.write(JSON.stringify({ seconds, answer }) + '\n');
    });
  }).on('close', () => process.exit(0));
});
