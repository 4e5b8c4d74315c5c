"""The comparison with other servers: `peers` (who they are, how to get and start them), `install` (where from),
`results` (what the rounds say), `document` and `chart` (how it is told)."""
