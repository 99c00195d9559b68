"""The text that keys are estimated on by default: this project's own documentation and Python code of a commit.

Regenerate: python3 scripts/corpus.py > harness/src/data/corpus.txt
"""

import subprocess
import sys

COMMIT = "ebaca76"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def main() -> None:
    files = git("ls-tree", "-r", "--name-only", COMMIT, "docs", "scripts").split()
    for file in sorted(file for file in files if file.endswith((".md", ".py"))):
        sys.stdout.write(git("show", f"{COMMIT}:{file}").strip() + "\n\n")


if __name__ == "__main__":
    main()
