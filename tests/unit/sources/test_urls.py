import pytest

from pytest_cutover.sources import urls


class TestShown:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("https://user:pw@shop.example/x", "https://shop.example/x"),
            (
                "https://shop.example:8443/x?token=s3cr3t&page=2",
                "https://shop.example:8443/x?token=***&page=***",
            ),
            ("https://shop.example/hook?s3cr3t", "https://shop.example/hook?***"),
            ("https://shop.example/x#s3cr3t", "https://shop.example/x"),
            ("http://u@[::1]:80/", "http://[::1]:80/"),
            ("http://user:s3cr3t@host:port/", "(unreadable URL)"),
            ("http://[s3cr3t/", "(unreadable URL)"),
        ],
    )
    def test_keeps_no_secret(self, url, expected):
        assert urls.shown(url) == expected


class TestOrigin:
    def test_default_port_and_case_do_not_matter(self):
        assert urls.origin("HTTPS://Shop.Example./a") == urls.origin("https://shop.example:443/b")

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://x/",
            "//x/",
            "/x",
            "http://",
            "http:///x",
            "http://x:99999/",
            "http://x\\@y/",
            "http://x y/",
            "http://x\n/",
        ],
    )
    def test_refuses_what_is_no_http_url(self, url):
        with pytest.raises(ValueError, match=r".+"):
            urls.origin(url)


class TestBelow:
    @pytest.mark.parametrize("path", ["x", "/x", "//x"])
    def test_a_path_stays_below_the_target(self, path):
        assert urls.below("https://shop.example/api/", path) == "https://shop.example/api/x"

    def test_a_protocol_relative_path_does_not_leave_the_target(self):
        assert urls.origin(urls.below("https://shop.example", "//evil.example/x")) == urls.origin(
            "https://shop.example"
        )


class TestRedirectTarget:
    def test_keeps_the_credentials_of_the_first_url(self):
        assert urls.redirect_target("http://u:p@h/a/b", "../c#f") == "http://u:p@h/c"

    @pytest.mark.parametrize(
        "location",
        [
            "http://other/",
            "//other/",
            "https://h/",
            "http://h:81/",
            "http://h@other/",
            "ftp://h/",
            "http://[",
        ],
    )
    def test_leads_nowhere_else(self, location):
        assert urls.redirect_target("http://h/a", location) is None

    def test_takes_no_credentials_from_the_server(self):
        assert urls.redirect_target("http://h/a", "http://attacker:pw@h/b") == "http://h/b"
