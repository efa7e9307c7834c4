"""Stores into files through shared mappings, as it is told line by line: map FILE, store FILE OFFSET TEXT, unmap FILE, end."""
import mmap
import sys

maps = {}
for line in open(sys.argv[1]) if len(sys.argv) > 1 else sys.stdin:
    order, *rest = line.split()
    if order == 'end':
        break
    name = rest[0]
    if order == 'map':
        with open(name, 'r+b') as file:
            maps[name] = mmap.mmap(file.fileno(), 0)
    elif order == 'store':
        at, text = int(rest[1]), rest[2].encode()
        maps[name][at:at + len(text)] = text
    elif order == 'unmap':
        maps.pop(name).close()
    print('did', *rest, order, flush=True)
