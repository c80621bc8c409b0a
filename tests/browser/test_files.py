"""The page of the workspace's files: uploads, folders, downloads, deletion, and the permissions of each role."""

import re

import pytest
from playwright.sync_api import expect


@pytest.fixture
def files(page, log_in, server):
    """Open the empty files page as the owner."""
    if kept := server.call("GET", "/api/files?folder=")["items"]:
        server.call("POST", "/api/files-delete", {"paths": [one["path"] for one in kept]})
    log_in(page)
    page.goto("/files")
    return page


def file(name, text="a,b\n1,2\n"):
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


def upload(page, *given):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload").click()
    chooser.value.set_files(list(given))


def rows(page):
    return page.get_by_role("table", name="Files").get_by_role("row")


def test_files_are_uploaded_downloaded_and_deleted(files, server, axe):
    expect(files.get_by_role("heading", name="No files yet")).to_be_visible()
    axe(files)
    upload(files, file("may.csv"), file("june.csv", "x" * 3_000))
    expect(rows(files)).to_have_count(3)
    expect(files.get_by_role("region", name="Uploads")).to_have_count(0)
    expect(rows(files).filter(has_text="june.csv")).to_contain_text("3.0 kB")
    axe(files)
    with files.expect_download() as got:
        files.get_by_role("link", name="Download may.csv").click()
    assert got.value.suggested_filename == "may.csv"
    assert got.value.path().read_text() == "a,b\n1,2\n"
    files.get_by_role("button", name="Delete june.csv").click()
    sure = files.get_by_role("dialog", name="Delete “june.csv”?")
    axe(files)
    sure.get_by_role("button", name="Delete").click()
    expect(rows(files)).to_have_count(2)
    assert [one["path"] for one in server.call("GET", "/api/files")["items"]] == ["may.csv"]


def test_an_upload_goes_into_the_open_folder(files, server):
    files.goto("/files?folder=reports/2026/")
    expect(files.get_by_role("heading", name="This folder is empty")).to_be_visible()
    upload(files, file("may 50%.csv"))
    expect(rows(files)).to_have_count(2)
    assert [one["path"] for one in server.call("GET", "/api/files")["items"]] == ["reports/2026/may 50%.csv"]
    files.get_by_role("navigation", name="Folders").get_by_role("button", name="All files").click()
    expect(rows(files)).to_have_count(2)
    files.get_by_role("button", name="reports", exact=True).click()
    files.get_by_role("button", name="2026", exact=True).click()
    expect(files).to_have_url(re.compile("folder=reports"))
    files.get_by_role("button", name="Delete may 50%.csv").click()
    files.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(files.get_by_role("heading", name="This folder is empty")).to_be_visible()


def test_an_existing_file_is_replaced_only_after_confirmation(files, watch, server, axe):
    watch.allow(409, "POST", "/api/files")
    upload(files, file("may.csv"))
    expect(rows(files)).to_have_count(2)
    upload(files, file("may.csv", "new"))
    expect(files.get_by_role("alert")).to_contain_text("A file with this name already exists")
    axe(files)
    files.get_by_role("button", name="Replace").click()
    expect(files.get_by_role("region", name="Uploads")).to_have_count(0)
    assert [one["size"] for one in server.call("GET", "/api/files")["items"]] == [3]


DROP = """(text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], "dropped.txt"));
  for (const kind of ["dragenter", "dragover", "drop"])
    window.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


def test_a_file_dropped_on_the_page_is_uploaded(files):
    expect(files.get_by_role("heading", name="No files yet")).to_be_visible()
    files.evaluate(DROP, "here")
    expect(rows(files).filter(has_text="dropped.txt")).to_contain_text("4 B")


def test_each_role_sees_only_its_permitted_actions(files, another, server):
    upload(files, file("may.csv"))
    expect(rows(files)).to_have_count(2)
    offered = {"viewer": (0, 0, 0), "operator": (1, 0, 0), "editor": (1, 1, 1)}
    for role, (download, delete, add) in offered.items():
        place = another(role)
        place.goto("/files")
        expect(rows(place)).to_have_count(2)
        expect(place.get_by_role("link", name="Download may.csv")).to_have_count(download)
        expect(place.get_by_role("button", name="Delete may.csv")).to_have_count(delete)
        expect(place.get_by_role("button", name="Upload")).to_have_count(add)


def test_files_are_shown_renamed_and_deleted_together(files, server, axe):
    upload(files, file("may.csv", "name,total\nAda,3\n"), file("june.csv"), file("july.csv"))
    expect(rows(files)).to_have_count(4)
    files.get_by_role("button", name="may.csv", exact=True).click()
    shown = files.get_by_role("dialog", name="may.csv")
    expect(shown.get_by_text("Ada,3")).to_be_visible()
    axe(files)
    shown.get_by_role("button", name="Close").click()
    files.get_by_role("button", name="Actions of june.csv").click()
    files.get_by_role("menuitem", name="Rename or move").click()
    dialog = files.get_by_role("dialog", name="Rename or move “june.csv”")
    dialog.get_by_role("textbox", name="Path").fill("2026/june.csv")
    dialog.get_by_role("button", name="Move").click()
    expect(files.get_by_role("button", name="2026", exact=True)).to_be_visible()
    files.get_by_role("checkbox", name="Select all").check()
    files.get_by_role("button", name="Delete", exact=True).click()
    files.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(files.get_by_role("heading", name="No files yet")).to_be_visible()
    assert server.call("GET", "/api/files")["items"] == []
