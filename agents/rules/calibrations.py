"""When a proposal of a rule pays, fitted on SIMULATED markets; made by `windvane train confidence`."""

from windvane.agents.confidence import Calibration

CALIBRATIONS: dict[str, Calibration] = {
    "ema_momentum": Calibration(
        sided=(
            (0, -0.022483),  # trend_8
            (1, 0.0580707),  # trend_32
            (2, -0.119311),  # trend_128
            (3, 0.233965),  # trend_512
            (15, 0.0220805),  # range_position_96
            (16, 0.00011638),  # range_skew_480
            (19, -0.0556683),  # jump_sign_128
            (20, -0.12174),  # skew_128
        ),
        plain=(
            (5, -0.0499977),  # vol_128_slow
            (11, 0.0364915),  # variance_ratio_32
            (17, 0.13839),  # range_480
            (13, 0.214003),  # volume_96_slow
        ),
        intercept=-0.0780996,
        base=0.515082,
        cost=0.000171387,
    ),
    "zscore_reversion": Calibration(
        sided=(
            (0, -0.00596283),  # trend_8
            (1, 0.060204),  # trend_32
            (2, -0.140446),  # trend_128
            (3, 0.247495),  # trend_512
            (15, -0.0392052),  # range_position_96
            (16, 0.000798917),  # range_skew_480
            (19, -0.0620556),  # jump_sign_128
            (20, -0.125431),  # skew_128
        ),
        plain=(
            (5, 0.050427),  # vol_128_slow
            (11, -0.0444884),  # variance_ratio_32
            (17, -0.12833),  # range_480
            (13, -0.19481),  # volume_96_slow
        ),
        intercept=0.0295853,
        base=0.486646,
        cost=0.000171387,
    ),
    "donchian_breakout": Calibration(
        sided=(
            (0, -0.0155241),  # trend_8
            (1, 0.0882239),  # trend_32
            (2, -0.1459),  # trend_128
            (3, 0.233329),  # trend_512
            (15, -0.0640392),  # range_position_96
            (16, 0.011785),  # range_skew_480
            (19, -0.0631804),  # jump_sign_128
            (20, -0.121914),  # skew_128
        ),
        plain=(
            (5, -0.0510394),  # vol_128_slow
            (11, 0.0675014),  # variance_ratio_32
            (17, 0.161877),  # range_480
            (13, 0.225193),  # volume_96_slow
        ),
        intercept=-0.0372093,
        base=0.516158,
        cost=0.000171387,
    ),
    "vol_trend": Calibration(
        sided=(
            (0, -0.0141246),  # trend_8
            (1, 0.0500193),  # trend_32
            (2, -0.11177),  # trend_128
            (3, 0.257182),  # trend_512
            (15, 0.0221692),  # range_position_96
            (16, 0.00485447),  # range_skew_480
            (19, -0.0799235),  # jump_sign_128
            (20, -0.113598),  # skew_128
        ),
        plain=(
            (5, -0.0871941),  # vol_128_slow
            (11, 0.0276678),  # variance_ratio_32
            (17, 0.0952397),  # range_480
            (13, 0.260947),  # volume_96_slow
        ),
        intercept=-0.110545,
        base=0.523502,
        cost=0.000171387,
    ),
    "jump_contrarian": Calibration(
        sided=(
            (0, -0.00818068),  # trend_8
            (1, 0.0381436),  # trend_32
            (2, -0.0758012),  # trend_128
            (3, 0.193795),  # trend_512
            (15, -0.0493985),  # range_position_96
            (16, 0.0211735),  # range_skew_480
            (19, -0.355477),  # jump_sign_128
            (20, -0.09138),  # skew_128
        ),
        plain=(
            (5, 0.0141788),  # vol_128_slow
            (11, -0.0120415),  # variance_ratio_32
            (17, -0.0499935),  # range_480
            (13, -0.093015),  # volume_96_slow
        ),
        intercept=-0.0201623,
        base=0.510022,
        cost=0.000171387,
    ),
    "buy_and_hold": Calibration(
        sided=(
            (0, -0.0105673),  # trend_8
            (1, 0.0532553),  # trend_32
            (2, -0.0999236),  # trend_128
            (3, 0.243778),  # trend_512
            (15, -0.0430893),  # range_position_96
            (16, 0.0110748),  # range_skew_480
            (19, -0.115482),  # jump_sign_128
            (20, -0.1249),  # skew_128
        ),
        plain=(
            (5, 0.00291569),  # vol_128_slow
            (11, 0.0038791),  # variance_ratio_32
            (17, 0.037931),  # range_480
            (13, -0.0801412),  # volume_96_slow
        ),
        intercept=-0.00543116,
        base=0.506579,
        cost=0.000171387,
    ),
}
