import sys

# count the busy servers
def busy(loads: list, limit=0.75) -> int:
    """Return the number of busy servers."""
    return len([x for x in loads if x > limit])

if __name__ == "__main__":
    print(f"busy: {busy([0.5, 0.9])}\n")
