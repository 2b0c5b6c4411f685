"""Holds the Python of the receivers' guide to the list of deliveries: snippets_test.py VECTORS VERIFY."""

import importlib.util
import json
import pathlib
import sys


def main() -> None:
    vectors = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location("verify", sys.argv[2])
    verify = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(verify)
    wrong = []
    for it in vectors:
        body, secrets, now = it["body"].encode(), it["secrets"], it["now_ms"] / 1000
        if it["scheme"] == "rafiki":
            genuine = verify.rafiki(it["signature"], body, secrets, now)
        else:
            genuine = verify.standard(it["id"], it["timestamp"], it["signature"], body, secrets, now)
        if genuine is not it["genuine"]:
            wrong.append(it["name"])
    for name in wrong:
        print(f"verify.py judges wrongly: {name}", file=sys.stderr)
    print(f"Python {sys.version.split()[0]}: {len(vectors) - len(wrong)} of {len(vectors)} deliveries judged rightly")
    sys.exit(1 if wrong or not vectors else 0)


if __name__ == "__main__":
    main()
