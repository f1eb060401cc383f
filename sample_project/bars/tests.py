"""Everything of the progress bars that needs no browser and no server."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import reverse
from dtws_sio import EventError
from dtws_sio.progress import Cancelled

from bars import uploads
from bars.imports import BATCH, MAX_REJECTED, BadFileError, count_rows, import_products
from bars.models import Product
from bars.sockets import Task


class FileCase(SimpleTestCase):
    """A folder for one test, which uploads go into as well."""

    def setUp(self) -> None:
        folder = self.enterContext(TemporaryDirectory())
        self.enterContext(override_settings(MEDIA_ROOT=folder))
        self.path = Path(folder, "prices.csv")

    def write(self, *lines: str) -> None:
        self.path.write_text("\n".join(["sku,name,price", *lines, ""]), encoding="utf-8")


class ImportTests(FileCase, TestCase):
    def test_rows_become_products_and_known_ones_are_changed(self) -> None:
        Product.objects.create(sku="a", name="old", price=1)
        self.write("a,new,2.50", "b, Tea ,3", "b,Green tea,4")
        report = import_products(self.path, mock.Mock())
        self.assertEqual((report.imported, report.rejected), (2, []))
        self.assertEqual(
            list(Product.objects.values_list("sku", "name", "price")),
            [("a", "new", Decimal("2.50")), ("b", "Green tea", Decimal(4))],
        )

    def test_the_bar_moves_once_per_batch_and_comes_to_the_number_of_rows(self) -> None:
        self.write(*(f"a{number},name,1" for number in range(BATCH + 5)))
        bar = mock.Mock()
        import_products(self.path, bar)
        self.assertEqual([call.kwargs["steps"] for call in bar.tick.call_args_list], [BATCH, 5])
        self.assertEqual(count_rows(self.path), BATCH + 5)

    def test_rows_that_are_wrong_are_left_out_and_reported(self) -> None:
        self.write("a,name,1", "b,name,free", ",name,1", "c,,1", "d,name", "e,name,1.234", "f,name,2")
        report = import_products(self.path, mock.Mock())
        self.assertEqual(report.imported, 2)
        self.assertEqual(
            [(each["row"], list(each["errors"])) for each in report.rejected],
            [(2, ["price"]), (3, ["sku"]), (4, ["name"]), (5, ["price"]), (6, ["price"])],
        )

    def test_a_file_of_wrong_rows_is_refused(self) -> None:
        self.write(*(f"a{number},name,free" for number in range(MAX_REJECTED + 5)))
        with self.assertRaisesMessage(BadFileError, f"the last one is row {MAX_REJECTED + 1}"):
            import_products(self.path, mock.Mock())

    def test_a_file_without_a_column_is_refused_by_its_name(self) -> None:
        for content in ("", "sku,title,price\n", "\x00\x01"):
            self.path.write_text(content)
            with self.subTest(content=content), self.assertRaises(BadFileError) as caught:
                import_products(self.path, mock.Mock())
            self.assertEqual(caught.exception.code, "bad_file")

    def test_a_line_that_cannot_be_read_is_told(self) -> None:
        self.write("a,name,1", f"b,{'x' * 200_000},1")
        with self.assertRaisesMessage(
            BadFileError, "The file cannot be read after line 2: field larger than field limit"
        ):
            import_products(self.path, mock.Mock())

    def test_lines_may_end_as_they_did_on_old_computers(self) -> None:
        for end in ("\n", "\r\n", "\r"):
            with self.subTest(end=end):
                self.path.write_bytes(f"sku,name,price{end}a,name,1{end}b,name,2{end}".encode())
                self.assertEqual(count_rows(self.path), 2)
                self.assertEqual(import_products(self.path, mock.Mock()).imported, 2)

    def test_a_cancel_ends_it_between_two_batches_and_keeps_what_was_written(self) -> None:
        self.write(*(f"a{number},name,1" for number in range(3 * BATCH)))
        bar = mock.Mock()
        bar.check.side_effect = [None, Cancelled]
        with self.assertRaises(Cancelled):
            import_products(self.path, bar)
        self.assertEqual(Product.objects.count(), BATCH)


class UploadTests(FileCase):
    def upload(self, name: str, content: bytes = b"sku,name,price\n") -> tuple[int, dict[str, object]]:
        answer = self.client.post(reverse("bars:upload"), {"file": SimpleUploadedFile(name, content)})
        return answer.status_code, answer.json()

    def test_a_file_is_kept_and_its_token_leads_to_it(self) -> None:
        status, answer = self.upload("prices.csv")
        self.assertEqual(status, 200)
        self.assertEqual(uploads.path_of(answer["upload"]).read_bytes(), b"sku,name,price\n")

    def test_other_files_are_refused(self) -> None:
        for name, content in (("prices.exe", b"x"), ("prices.csv", b""), ("prices.csv", b"x" * 20_000_001)):
            with self.subTest(name=name, size=len(content)):
                status, answer = self.upload(name, content)
                self.assertEqual((status, list(answer["errors"])), (400, ["file"]))

    def test_what_is_no_token_is_refused(self) -> None:
        for token in (None, "", "x", 5, [], "../../etc/passwd"):
            with self.subTest(token=token), self.assertRaises(EventError) as caught:
                uploads.path_of(token)
            self.assertEqual(caught.exception.code, "no_upload")

    def test_a_file_can_be_imported_once(self) -> None:
        _, answer = self.upload("prices.csv")
        uploads.path_of(answer["upload"]).unlink()
        with self.assertRaisesMessage(EventError, "imported already"):
            uploads.path_of(answer["upload"])


class TaskTests(SimpleTestCase):
    @override_settings(DTWS_SIO={})
    def test_without_a_queue_the_page_is_told_what_is_missing(self) -> None:
        with self.assertRaisesMessage(EventError, "Set REDIS_URL"):
            Task("/a-task-without-a-queue").on_queue("sid")


class PageTests(TestCase):
    def test_each_page_loads_its_script(self) -> None:
        for name in ("one", "many", "engines", "import", "task"):
            with self.subTest(page=name):
                self.assertContains(self.client.get(reverse(f"bars:{name}")), f'src="/static/bars/{name}.js"')
