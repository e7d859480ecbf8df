"""The cases about files, for cases.py: the machine's files are this machine's."""

import os

import grpc

Code = grpc.StatusCode


def add(case, Client, fails):
    class Files:
        """Calls about files at a machine, in a directory of the case's own."""

        def __init__(self, key=None, session=None):
            self.client = Client(key) if key else Client()
            self.session = self.client.sid() if session is None else session
            self.root = os.path.join(os.path.realpath(os.environ["CASE_DIR"]), "files")
            os.makedirs(self.root, exist_ok=True)

        def __truediv__(self, name):
            return os.path.join(self.root, name)

        def call(self, name, **fields):
            answer = self.client.call(name, timeout=300, session_id=self.session, **fields)
            assert answer.success and not answer.error
            return answer.result

        def put(self, name, content=b""):
            with open(self / name, "wb") as file:
                file.write(content)
            return self / name

        def read(self, path, **fields):
            return self.call("FileRead", path=path, **fields)

        def list(self, **fields):
            return self.call("FileListDirectory", path=self.root, **fields)

    def content(path):
        with open(path, "rb") as file:
            return file.read()

    @case("FIL-01")
    def make_a_directory():
        files = Files()
        entry = files.call("FileCreateDirectory", path=files / "a/b/c", create_parents=True).entry
        assert (entry.path, entry.name, entry.type) == (files / "a/b/c", "c", 2)
        assert os.path.isdir(files / "a/b/c")

    @case("FIL-02")
    def write_and_read():
        files = Files()
        result = files.call("FileWrite", path=files / "f.txt", content="héllo".encode())
        assert (result.bytes_written, result.entry.path) == (6, files / "f.txt")
        read = files.read(files / "f.txt")
        assert (read.content, read.total_size, read.is_truncated) == ("héllo".encode(), 6, False)
        assert (read.encoding, read.mime_type) == ("utf-8", "text/plain")

    @case("FIL-03")
    def writing_again_replaces():
        files = Files()
        path = files.put("f", b"a long first text")
        os.chmod(path, 0o640)
        files.call("FileWrite", path=path, content=b"second")
        assert content(path) == b"second" and os.stat(path).st_mode & 0o777 == 0o640
        assert os.listdir(files.root) == ["f"]

    @case("FIL-04")
    def parents_are_made_when_asked_for():
        files = Files()
        fails(Code.NOT_FOUND, lambda: files.call("FileWrite", path=files / "x/y/f", content=b"1"))
        files.call("FileWrite", path=files / "x/y/f", content=b"1", create_parents=True)
        assert content(files / "x/y/f") == b"1"

    @case("FIL-05")
    def ranges():
        files = Files()
        path = files.put("digits", b"0123456789")
        part = files.read(path, offset=2, length=3)
        assert (part.content, part.total_size, part.is_truncated) == (b"234", 10, True)
        last = files.read(path, offset=7, length=3)
        assert (last.content, last.is_truncated) == (b"789", False)
        beyond = files.read(path, offset=99, length=3)
        assert (beyond.content, beyond.is_truncated, beyond.total_size) == (b"", False, 10)
        fails(Code.INVALID_ARGUMENT, lambda: files.read(path, offset=-1))

    @case("FIL-06")
    def list_a_directory():
        files = Files()
        files.put("f", b"abc")
        os.mkdir(files / "d")
        listed = files.list()
        assert (listed.current_path, listed.total_count, listed.has_more) == (files.root, 2, False)
        assert [(entry.name, entry.type, entry.path) for entry in listed.entries] == [
            ("d", 2, files / "d"),
            ("f", 1, files / "f"),
        ]
        assert listed.entries[1].size == 3 and listed.entries[1].modified_at.seconds == int(os.stat(files / "f").st_mtime)

    @case("FIL-07")
    def hidden_names():
        files = Files()
        files.put(".hidden")
        files.put("shown")
        assert [entry.name for entry in files.list().entries] == ["shown"]
        every = files.list(include_hidden=True)
        assert [(entry.name, entry.is_hidden) for entry in every.entries] == [(".hidden", True), ("shown", False)]

    @case("FIL-08")
    def pages():
        files = Files()
        for number in range(25):
            files.put(f"f{number:02}")
        seen, token = [], ""
        for size in [10, 10, 5]:
            page = files.list(page_size=10, page_token=token)
            assert len(page.entries) == size and page.total_count == 25
            seen += [entry.name for entry in page.entries]
            token = page.next_page_token
            assert page.has_more == bool(token)
        assert token == "" and seen == [f"f{number:02}" for number in range(25)]
        fails(Code.INVALID_ARGUMENT, lambda: files.list(page_token="not ours!"))

    @case("FIL-09")
    def info():
        files = Files()
        path = files.put("f.json", b"{}")
        os.chmod(path, 0o600)
        entry = files.call("FileGetInfo", path=path).entry
        assert (entry.type, entry.size, entry.permissions) == (1, 2, "-rw-------")
        assert (entry.mime_type, entry.is_readable, entry.is_writable) == ("application/json", True, True)
        assert files.call("FileGetInfo", path="/").entry.type == 2

    @case("FIL-10")
    def copy():
        files = Files()
        path = files.put("f", b"abc")
        result = files.call("FileCopy", source_path=path, destination_path=files / "g")
        assert (result.bytes_copied, result.entry.path, content(files / "g")) == (3, files / "g", b"abc")
        os.makedirs(files / "d/e")
        files.call("FileCopy", source_path=files / "d", destination_path=files / "twin")
        assert os.path.isdir(files / "twin/e")
        fails(Code.ALREADY_EXISTS, lambda: files.call("FileCopy", source_path=path, destination_path=files / "g"))

    @case("FIL-11")
    def move():
        files = Files()
        path = files.put("f", b"abc")
        assert files.call("FileMove", source_path=path, destination_path=files / "g").entry.path == files / "g"
        assert os.listdir(files.root) == ["g"]
        files.put("h")
        fails(
            Code.ALREADY_EXISTS,
            lambda: files.call("FileMove", source_path=files / "g", destination_path=files / "h"),
        )

    @case("FIL-12")
    def delete():
        files = Files()
        files.put("f")
        result = files.call("FileDelete", path=files / "f")
        assert (result.deleted_path, result.files_deleted) == (files / "f", 1)
        os.makedirs(files / "d/e")
        files.put("d/x")
        fails(Code.FAILED_PRECONDITION, lambda: files.call("FileDelete", path=files / "d"))
        result = files.call("FileDelete", path=files / "d", recursive=True)
        assert (result.files_deleted, result.dirs_deleted, os.listdir(files.root)) == (1, 2, [])

    @case("FIL-13")
    def six_megabytes():
        files = Files()
        sent = os.urandom(6 << 20)
        assert files.call("FileWrite", path=files / "large", content=sent).bytes_written == len(sent)
        assert content(files / "large") == sent
        assert files.read(files / "large").content == sent

    @case("FIL-14")
    def odd_names():
        files = Files()
        for name in ["spaced name", "ü✓", "new\nline", "-rf", "$(reboot)", "\x1b[2J"]:
            files.call("FileWrite", path=files / name, content=name.encode())
            assert content(files / name) == files.read(files / name).content == name.encode()
        with open(os.path.join(os.fsencode(files.root), b"\xff"), "wb"):
            pass
        assert files.list().total_count == 7

    @case("FIL-15")
    def errors_are_statuses():
        files = Files()
        os.mkdir(files / "d")
        missing = files / "none"
        for call in [
            lambda: files.read(missing),
            lambda: files.call("FileListDirectory", path=missing),
            lambda: files.call("FileGetInfo", path=missing),
            lambda: files.call("FileDelete", path=missing),
            lambda: files.call("FileMove", source_path=missing, destination_path=files / "x"),
            lambda: files.call("FileCopy", source_path=missing, destination_path=files / "x"),
        ]:
            assert "none" in fails(Code.NOT_FOUND, call)
        fails(Code.FAILED_PRECONDITION, lambda: files.read(files / "d"))
        fails(Code.FAILED_PRECONDITION, lambda: files.read("/dev/zero"))
        fails(Code.ALREADY_EXISTS, lambda: files.call("FileCreateDirectory", path=files / "d"))
        fails(Code.INVALID_ARGUMENT, lambda: files.read(""))

    @case("FIL-16")
    def links():
        files = Files()
        files.put("f", b"abc")
        os.symlink("f", files / "link")
        entry = files.call("FileGetInfo", path=files / "link").entry
        assert (entry.type, entry.symlink_target) == (3, "f")
        assert files.read(files / "link").content == b"abc"
        files.call("FileWrite", path=files / "link", content=b"new")
        assert os.path.islink(files / "link") and content(files / "f") == b"new"
        files.call("FileDelete", path=files / "link")
        assert os.listdir(files.root) == ["f"]

    @case("FIL-17")
    def download_in_chunks():
        files = Files()
        sent = os.urandom(3_500_000)
        path = files.put("large", sent)
        got, more = b"", True
        while more:
            part = files.read(path, offset=len(got), length=1 << 20)
            assert part.total_size == len(sent) and len(part.content) <= 1 << 20
            got, more = got + part.content, part.is_truncated
        assert got == sent

    @case("FIL-18")
    def search_and_archive():
        files = Files()
        os.mkdir(files / "d")
        files.put("d/app.log", b"start\nan ERROR here\nend\n")
        files.put("d/other", b"nothing\n")
        found = files.call("FileSearch", path=files.root, filename_pattern="*.log", context_lines=1, content_pattern="error")
        assert (found.total_matches, found.truncated, found.search_path) == (1, False, files.root)
        line = found.matches[0].content_matches[0]
        assert (found.matches[0].match_type, found.matches[0].entry.path) == (2, files / "d/app.log")
        assert (line.line_number, line.line, line.column_start, line.column_end) == (2, "an ERROR here", 3, 8)
        assert (list(line.context_before), list(line.context_after)) == (["start"], ["end"])
        fails(
            Code.UNIMPLEMENTED,
            lambda: files.call("FileCreateArchive", source_paths=[files / "d"], destination_path=files / "d.zip"),
        )

    @case("FIL-19")
    def whoever_may_not():
        files = Files()
        path = files.put("f", b"abc")
        observer = Files(key=os.environ["CASE_OBSERVER"])
        fails(Code.PERMISSION_DENIED, lambda: observer.call("FileWrite", path=path, content=b"x"))
        fails(Code.PERMISSION_DENIED, lambda: observer.call("FileDelete", path=path))
        assert content(path) == b"abc"
        unknown = Files(session="00000000-0000-7000-8000-000000000000")
        fails(Code.NOT_FOUND, lambda: unknown.read(path))
        assert Files(session="").read(path).content == b"abc", "the only machine"
        assert Files(session="local").read(path).content == b"abc"

    @case("SYN-02")
    def by_the_synchronous_flavour():
        """Every call there is, on one channel, one after the other."""
        files = Files()
        files.call("FileCreateDirectory", path=files / "d")
        files.call("FileWrite", path=files / "d/f", content=b"abc")
        files.call("FileCopy", source_path=files / "d/f", destination_path=files / "d/g")
        files.call("FileMove", source_path=files / "d/g", destination_path=files / "h")
        assert [entry.name for entry in files.list().entries] == ["d", "h"]
        assert files.call("FileGetInfo", path=files / "h").entry.size == 3
        assert files.read(files / "h").content == b"abc"
        files.call("FileDelete", path=files / "d", recursive=True)
        assert os.listdir(files.root) == ["h"]
