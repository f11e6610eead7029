"""`align` commands, one after the other, in the processes of one launch: prints the exit status of each, as JSON."""

import json
import os
import sys

from align import commands

if __name__ == "__main__":
    statuses = []
    for arguments in json.loads(sys.argv[1]):
        sys.argv = ["align", *arguments]
        try:
            commands.main()
            statuses.append(0)
        except SystemExit as ended:
            statuses.append(int(ended.code or 0))
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(statuses))
