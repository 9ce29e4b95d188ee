"""Where tests go by convention, language by language, and never onto a file that is there."""

from __future__ import annotations

import pytest

from gateway.domain.language import detect
from gateway.domain.target_path import convention


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("mean.py", "tests/test_mean.py"),
        ("src/mean.py", "tests/test_mean.py"),
        ("src/shop/price.py", "tests/shop/test_price.py"),
        ("shop/price.py", "tests/shop/test_price.py"),
        ("services/a/src/shop/price.py", "services/a/tests/shop/test_price.py"),
        ("shop/__init__.py", "tests/shop/test_init.py"),
        ("shop/price.pyi", "tests/shop/test_price.py"),
        ("pkg/mean.go", "pkg/mean_test.go"),
        ("web/mean.ts", "web/mean.test.ts"),
        ("web/Mean.tsx", "web/Mean.test.tsx"),
        ("mean.js", "mean.test.js"),
        ("src/main/java/a/Mean.java", "src/test/java/a/MeanTest.java"),
        ("a/Mean.java", "a/MeanTest.java"),
        ("src/main/kotlin/Mean.kt", "src/test/kotlin/MeanTest.kt"),
        ("Shop/Mean.cs", "Shop/MeanTests.cs"),
        ("Sources/Shop/Mean.swift", "Tests/ShopTests/MeanTests.swift"),
        ("src/stats/mean.rs", "tests/mean.rs"),
        ("src/lib.rs", "tests/lib.rs"),
        ("src/stats/mod.rs", "tests/stats.rs"),
        ("lib/a/mean.rb", "spec/a/mean_spec.rb"),
        ("app/models/mean.rb", "spec/models/mean_spec.rb"),
        ("lib/mean.dart", "test/mean_test.dart"),
        ("lib/mean.ex", "test/mean_test.exs"),
        ("src/Mean.php", "tests/MeanTest.php"),
        ("src/mean.c", "tests/test_mean.c"),
        ("include/mean.h", "tests/include/test_mean.c"),
        ("Makefile", "tests/test_Makefile"),
        (".bashrc", "tests/test_bashrc"),
        ("a{b}.py", "tests/test_a{b}.py"),
    ],
)
def test_the_convention_of_the_language(path: str, target: str) -> None:
    assert convention(path, detect(path)) == target


def test_a_path_that_is_taken_gets_a_number() -> None:
    taken = {"tests/test_mean.py", "tests/test_mean_2.py"}
    assert convention("mean.py", "python", taken) == "tests/test_mean_3.py"


@pytest.mark.parametrize(
    ("language", "target"), [("c", "tests/test_a.c"), ("cpp", "tests/test_a.cpp")]
)
def test_the_tests_of_a_header_are_in_the_language_that_the_client_names(
    language: str, target: str
) -> None:
    assert convention("src/a.h", language) == target
