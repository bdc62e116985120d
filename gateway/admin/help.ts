// What `npm run admin -- --help` prints.

export const HELP = `Usage: npm run -s admin -- <what> [options]

Who may come in, without a client.

  token create --owner <owner>   make an API token: a credential for a bot, which opens that owner's chats
      --name <text>              what it is for
      --role <role>              member (the default), auditor (reads all chats) or admin
      --expires <when>           30d, 12h, 90m or a date such as 2030-01-01; without it the token does not end
  token list [--owner <owner>]   all tokens, or those of one owner, newest first; never the tokens themselves
  token revoke <id>              end a token, and those that were made with it
  owner revoke <owner>           shut an owner out, whatever credential they come with
  owner restore <owner>          let them in again

      --json                     one line of JSON on standard output (see below)
      --data-dir <dir>           the node's data folder, when it has the embedded database  (or PARLEY_DATA_DIR; .parley)
  -h, --help                     this text

With DATABASE_URL set it changes the database, whether nodes run or not. Without it the database is the one in the data
folder: while a node runs it goes through that node, by the token that the node left there for whoever may read the folder;
else it opens the database itself. It says on standard error which way it went.

Revoking ends open connections within a second, on all nodes.

token create prints the token on standard output, and nothing else: it is shown this once and is stored nowhere.

Exit codes: 0 done · 1 it could not be done, one line on standard error says why · 2 bad options.

With --json: times are Unix milliseconds or null
  token create   {"token", "id", "owner", "role", "name", "created_at", "expires_at", "last_used_at", "revoked_at", "parent"}
  token list     {"tokens": [the same without "token", …]}
  token revoke   {"id"}
  owner …        {"owner"}
`;
