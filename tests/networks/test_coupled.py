"""Networks of several domains with layers in common."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from gan_course import networks


def stacks(domains=2, sizes=(3, 4, 5, 2), outer=()):
    """Linear blocks; `outer`: the inputs of each domain's first block."""
    found = []
    for domain in range(domains):
        inputs = (outer[domain] if outer else sizes[0], *sizes[1:])
        found.append([nn.Linear(a, b) for a, b in zip(inputs, sizes[1:], strict=False)])
    return found


def test_the_first_blocks_are_the_same_objects():
    given = stacks()
    coupled = networks.couple(given, first=2)
    one, other = coupled.blocks(0), coupled.blocks(1)
    assert [a is b for a, b in zip(one, other, strict=True)] == [True, True, False]
    assert one == given[0]
    assert other[2] is given[1][2]
    z = torch.randn(6, 3)
    for domain, out in enumerate(coupled(z)):
        assert_close(out, coupled.only(z, domain))
        assert_close(out, nn.Sequential(*coupled.blocks(domain))(z))


def test_the_last_blocks_are_the_same_objects_and_batches_may_differ_in_size():
    given = stacks(3, outer=(3, 7, 2))
    coupled = networks.couple(given, last=1)
    assert [a is b for a, b in zip(coupled.blocks(0), coupled.blocks(2), strict=True)] == [False, False, True]
    x = [torch.randn(4, 3), torch.randn(6, 7), torch.randn(1, 2)]
    features, scores = coupled.features_and_scores(x)
    for domain, (part, feature, out) in enumerate(zip(x, features, coupled(x), strict=True)):
        assert_close(out, coupled.only(part, domain))
        assert_close(out, scores[domain])
        assert_close(feature, nn.Sequential(*coupled.blocks(domain)[:-1])(part))


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("end", ["first", "last"])
def test_nothing_or_everything_may_be_shared(end, count):
    coupled = networks.couple(stacks(), **{end: count})
    weights = [block.weight for domain in range(2) for block in coupled.blocks(domain)]
    assert len(set(weights)) == 6 - count
    assert networks.parameters(coupled) == sum(w.numel() + len(w) for w in set(weights))
    x = torch.randn(4, 3)
    one, other = coupled(x if end == "first" else (x, x))
    assert torch.equal(one, other) == (count == 3)
    if end == "last":
        assert_close(coupled.features_and_scores((x, x))[1][1], other)


def test_a_shared_block_sees_all_domains_at_once():
    own = [[nn.Identity(), block] for block in (nn.BatchNorm1d(1), nn.BatchNorm1d(1))]
    coupled = networks.couple(own, last=1)
    low, high = coupled((torch.zeros(3, 1), torch.ones(3, 1)))
    assert_close(low, torch.full((3, 1), -1.0), atol=1e-4, rtol=0)
    assert_close(high, torch.full((3, 1), 1.0), atol=1e-4, rtol=0)


def test_generators_have_no_features_in_common():
    with pytest.raises(ValueError, match=r"couple\(last=...\)"):
        networks.couple(stacks(), first=1).features_and_scores([torch.randn(2, 3)])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(first=4), "first=4 was given, but a network has only 3 blocks"),
        (dict(last=4), "last=4 was given, but a network has only 3 blocks"),
        (dict(first=-1), "first=-1"),
        (dict(), "give one of them"),
        (dict(first=1, last=1), "give one of them"),
    ],
)
def test_counts_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        networks.couple(stacks(), **wrong)


def test_blocks_that_cannot_stand_for_each_other_are_named():
    given = stacks()
    given[1][1] = nn.Linear(4, 6)
    with pytest.raises(
        ValueError, match=r"shared block 2 of 2 has bias of shape \(5,\) in domain 0 and \(6,\) in doma"
    ):
        networks.couple(given, first=2)
    networks.couple(given, first=1)  # apart they may differ
    with pytest.raises(ValueError, match="shared block 1 of 2 has"):
        networks.couple(given, last=2)


def test_one_domain_is_refused():
    with pytest.raises(ValueError, match="two domains or more"):
        networks.couple(stacks(1), first=1)


def sizes_of(coupled, x, domain=0):
    """The height after each block."""
    found = []
    for block in coupled.blocks(domain):
        x = block(x)
        found.append(x.shape[-1] if x.ndim == 4 else None)
    return found, x


@pytest.mark.parametrize(
    ("make", "up", "down"),
    [
        (networks.cogan_digits, [4, 7, 13, 25, 28], [12, 4, None, None]),
        (networks.cogan_narrow, [None, 7, 14, 28, 28], [14, 7, None, None]),
    ],
)
def test_digit_networks_climb_as_in_the_paper(make, up, down):
    generators, discriminators = make()
    found, image = sizes_of(generators, torch.rand(2, 100))
    assert found == up
    assert image.shape == (2, 1, 28, 28)
    assert ((image >= 0) & (image <= 1)).all()
    found, scores = sizes_of(discriminators, image)
    assert found == down
    assert scores.shape == (2,)
    assert (len(generators.shared), len(discriminators.shared)) == (4, 3)


def test_the_papers_networks_have_the_papers_channels():
    generators, discriminators = networks.cogan_digits()
    transposed = [m for m in generators.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert [m.in_channels for m in transposed] == [100, 1024, 512, 256]
    assert [m.kernel_size[0] for m in transposed] == [4, 3, 3, 3]
    assert not any(p.shape == (1024,) for p in generators.parameters())  # normalisation without scale and shift
    ends = [m for m in generators.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in ends] == [(128, 1, 6)] * 2
    convolutions = [m for m in discriminators.modules() if isinstance(m, nn.Conv2d)]
    assert sorted(m.out_channels for m in convolutions) == [20, 20, 50]


def test_the_last_block_is_the_papers_transposed_convolution():
    """Of stride 1 and padding 1: the same map as the convolution that is there, with the kernel turned."""
    end = networks.cogan_digits()[0].blocks(0)[-1][0]
    x = torch.randn(2, 128, 25, 25)
    turned = end.weight.flip(2, 3).transpose(0, 1)
    assert_close(end(x), nn.functional.conv_transpose2d(x, turned, end.bias, padding=1), atol=1e-4, rtol=1e-4)


def test_domains_may_differ_in_channels():
    generators, discriminators = networks.cogan_narrow(3, channels=(1, 3, 2))
    images = generators(torch.rand(2, 100))
    assert [tuple(x.shape) for x in images] == [(2, 1, 28, 28), (2, 3, 28, 28), (2, 2, 28, 28)]
    assert [tuple(x.shape) for x in discriminators(images)] == [(2,)] * 3
    with pytest.raises(ValueError, match=r"shared block 5 of 5 has 0.bias of shape \(1,\) in domain 0 and \(3,\)"):
        networks.cogan_narrow(2, channels=(1, 3), first=5)
    with pytest.raises(ValueError, match="for 2 domains; give one number for each"):
        networks.cogan_narrow(2, channels=(1, 3, 1))


def test_domains_may_differ_in_size():
    """Where the blocks of their own bring them to one size."""
    small = [nn.Sequential(nn.Linear(4, 6)), nn.Linear(6, 1)]
    large = [nn.Sequential(nn.Flatten(), nn.Linear(9, 6)), nn.Linear(6, 1)]
    scores = networks.couple([small, large], last=1)((torch.randn(2, 4), torch.randn(3, 3, 3)))
    assert [tuple(s.shape) for s in scores] == [(2, 1), (3, 1)]


def judges():
    """Discriminators of images of any size, until the last block, which is for 4 x 4 pixels."""
    return [
        [
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Sequential(nn.Flatten(), nn.Linear(32, 1)),
        ]
        for _ in range(2)
    ]


@pytest.mark.parametrize(("last", "number"), [(3, 1), (1, 1)])
def test_different_sizes_at_a_shared_block_are_told_with_its_number(last, number):
    discriminators = networks.couple(judges(), last=last)
    x = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 6, 6)
    message = (
        rf"shared block {number} of {last}: domain 0 brings \(2, 4, 4\), domain 1 brings \(2, 6, 6\); "
        "bring the domains to one size in blocks of their own, or share fewer"
    )
    for call in (discriminators, discriminators.features_and_scores):
        with pytest.raises(ValueError, match=message):
            call(x)
    discriminators(x[:1] * 2)


def test_a_domain_alone_is_told_which_block_cannot_take_it():
    x = torch.rand(3, 1, 6, 6)
    shared, own = networks.couple(judges(), last=3), networks.couple(judges(), last=0)
    with pytest.raises(ValueError, match=r"shared block 3 of 3 cannot take \(3, 2, 6, 6\), from domain 1's input: "):
        shared.only(x, 1)
    with pytest.raises(ValueError, match=r"shared block 3 of 3 cannot take \(6, 2, 6, 6\), from the input of all dom"):
        shared((x, x))
    for call in (own, own.features_and_scores):
        with pytest.raises(
            ValueError, match=r"domain 1's own block 4 of 4 cannot take \(3, 2, 6, 6\), from domain 1's"
        ):
            call((x[:, :, :4, :4], x))
    with pytest.raises(
        ValueError, match=r"domain 0's own block 1 of 1 cannot take \(3, 3, 4, 4\).*samples and of its b"
    ):
        shared.only(torch.rand(3, 3, 4, 4), 0)


def test_generators_name_the_block_that_cannot_take_what_it_is_given():
    generators = networks.couple(stacks(), first=2)
    with pytest.raises(ValueError, match=r"shared block 1 of 2 cannot take \(6, 4\), from the input of all domains"):
        generators(torch.randn(6, 4))
    generators.own[1][0] = nn.Linear(7, 2)
    with pytest.raises(ValueError, match=r"domain 1's own block 1 of 1 cannot take \(6, 5\), from domain 1's input"):
        generators(torch.randn(6, 3))
    with pytest.raises(ValueError, match=r"domain 1's own block 1 of 1 cannot take \(6, 5\)"):
        generators.only(torch.randn(6, 3), 1)


def test_too_little_memory_is_no_matter_of_sizes():
    class Full(nn.Module):
        def forward(self, x):
            raise torch.OutOfMemoryError("no memory left")

    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        networks.couple([[Full()], [Full()]], first=1)(torch.rand(2, 2))


def test_another_number_of_batches_than_domains_is_refused():
    with pytest.raises(ValueError, match="1 batches were given to networks of 2 domains; give one for each"):
        networks.couple(judges(), last=1)([torch.rand(3, 1, 4, 4)])


def test_rotation_networks_are_fully_connected_and_share_the_last_block_alone():
    generators, discriminators = networks.cogan_rotation(width=8)
    assert not any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in generators.modules())
    images = generators(torch.rand(2, 100))
    assert [tuple(x.shape) for x in images] == [(2, 1, 28, 28)] * 2
    assert (len(generators.shared), len(discriminators.shared)) == (4, 1)
    assert networks.cogan_rotation()[0].shared[3][0].weight.shape == (1024, 1024)


@pytest.mark.parametrize(("size", "blocks"), [(64, 6), (128, 7)])
def test_face_networks(size, blocks):
    generators, discriminators = networks.cogan_faces(size, width=4)
    assert [len(stack) for stack in (generators.blocks(0), discriminators.blocks(0))] == [blocks, blocks + 1]
    assert (len(generators.shared), len(discriminators.shared)) == (blocks - 1, blocks - 1)
    found, image = sizes_of(generators, torch.rand(2, 100))
    assert found == [*[4 * 2**i for i in range(blocks - 1)], size]
    assert image.shape == (2, 3, size, size)
    assert [tuple(s.shape) for s in discriminators(generators(torch.rand(3, 100)))] == [(3,)] * 2
    with pytest.raises(ValueError, match="size=32 of faces was given; it must be 64 or 128"):
        networks.cogan_faces(32)


def test_the_full_face_networks_are_the_papers():
    generators, discriminators = networks.cogan_faces(128, first=0, last=0)
    transposed = [m.out_channels for m in generators.own[0].modules() if isinstance(m, nn.ConvTranspose2d)]
    assert transposed == [512, 256, 128, 64, 32]
    seen = [(m.out_channels, m.kernel_size[0]) for m in discriminators.own[1].modules() if isinstance(m, nn.Conv2d)]
    assert seen == [(32, 5), (64, 5), (128, 5), (256, 3), (512, 3), (1024, 3)]
    assert any(getattr(m, "out_features", 0) == 2048 for m in discriminators.modules())


def test_a_conditioned_network_sees_its_class():
    seen = []

    class Eye(nn.Module):
        def forward(self, x):
            seen.append(x)
            return x

    network = networks.Conditioned(Eye(), 3)
    network(torch.zeros(2, 4), torch.tensor([0, 2]))
    assert_close(seen[-1], torch.tensor([[0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1.0]]))
    network(torch.zeros(2, 1, 2, 2), torch.tensor([1, 1]))
    assert_close(seen[-1][:, 2], torch.ones(2, 2, 2))
    assert seen[-1].sum() == 8


@pytest.mark.parametrize("narrow", [False, True])
def test_the_conditional_networks_have_as_many_parameters_as_the_coupled_ones(narrow):
    coupled = (networks.cogan_narrow if narrow else networks.cogan_digits)(last=3)
    conditional = networks.conditional_digits(narrow=narrow)
    ours, theirs = (sum(map(networks.parameters, pair)) for pair in (coupled, conditional))
    assert abs(ours / theirs - 1) < (0.001 if narrow else 0.005)
    labels = torch.tensor([0, 1])
    images = conditional[0](torch.rand(2, 100), labels)
    assert images.shape == (2, 1, 28, 28)
    assert conditional[1](images, labels).shape == (2,)
