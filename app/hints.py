"""What to say to the person in front of the camera: one hint per reason, in every language.

This is the only place with words for them; the core's decisions carry codes. To add a language, add
a field to `Hint`: whatever then lacks a translation is an error of types.
"""

from dataclasses import dataclass
from typing import Literal

from serfiq_core.types import ReasonCode

Language = Literal["en", "zh", "de", "es", "fr"]
"""As in `Content-Language`, RFC 5646. Chinese is in simplified characters."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The same advice in each language."""

    en: str
    zh: str
    de: str
    es: str
    fr: str


HINTS: dict[ReasonCode, Hint] = {
    "no_face": Hint(
        en="Make sure that your whole face is in view, well lit and turned to the camera.",
        zh="请确保整张脸都在画面中，光线充足，并正对镜头。",
        de="Achten Sie darauf, dass Ihr ganzes Gesicht zu sehen, gut beleuchtet und der Kamera "
        "zugewandt ist.",
        es="Asegúrese de que su rostro se vea entero, esté bien iluminado y mire a la cámara.",
        fr="Veillez à ce que votre visage soit entièrement visible, bien éclairé et tourné vers "
        "l'appareil.",
    ),
    "multiple_faces": Hint(
        en="Only one person may be in view.",
        zh="画面中只能有一个人。",
        de="Es darf nur eine Person im Bild sein.",
        es="Solo puede verse a una persona.",
        fr="Une seule personne doit être visible.",
    ),
    "face_too_small": Hint(
        en="Move closer to the camera, or use a higher resolution.",
        zh="请靠近镜头，或使用更高的分辨率。",
        de="Gehen Sie näher an die Kamera, oder verwenden Sie eine höhere Auflösung.",
        es="Acérquese a la cámara o use una resolución más alta.",
        fr="Rapprochez-vous de l'appareil ou utilisez une résolution plus élevée.",
    ),
    "face_too_large": Hint(
        en="Move away from the camera.",
        zh="请离镜头远一些。",
        de="Gehen Sie weiter von der Kamera weg.",
        es="Aléjese de la cámara.",
        fr="Éloignez-vous de l'appareil.",
    ),
    "face_cropped": Hint(
        en="Keep your whole head in the middle of the picture, with some space around it.",
        zh="请将整个头部置于画面中央，四周留出一些空间。",
        de="Halten Sie den ganzen Kopf in der Bildmitte, mit etwas Abstand zum Rand.",
        es="Mantenga toda la cabeza en el centro de la imagen, con algo de espacio alrededor.",
        fr="Gardez toute la tête au centre de l'image, avec un peu d'espace autour.",
    ),
    "low_detection_score": Hint(
        en="Your face is hard to see: take away what covers it, and look at the camera.",
        zh="面部不够清楚：请移开遮挡物，并正对镜头。",
        de="Ihr Gesicht ist schlecht zu erkennen: Entfernen Sie, was es verdeckt, und blicken Sie "
        "in die Kamera.",
        es="Su rostro se distingue mal: retire lo que lo cubra y mire a la cámara.",
        fr="Votre visage se distingue mal : retirez ce qui le couvre et regardez l'appareil.",
    ),
    "low_quality": Hint(
        en="This photograph is of little use for recognition. Take it again: hold still, face the "
        "camera, in even light and in focus.",
        zh="这张照片难以用于人脸识别。请重新拍摄：保持不动，正对镜头，光线均匀，对焦清晰。",
        de="Dieses Foto taugt wenig zur Wiedererkennung. Nehmen Sie es noch einmal auf: ruhig, der "
        "Kamera zugewandt, gleichmäßig beleuchtet und scharf.",
        es="Esta fotografía sirve de poco para el reconocimiento. Repítala: quieto, de frente, con "
        "luz uniforme y bien enfocada.",
        fr="Cette photo est peu utile à la reconnaissance. Reprenez-la : sans bouger, de face, "
        "avec une lumière uniforme et une bonne mise au point.",
    ),
    "extreme_pose": Hint(
        en="Hold your head straight and look directly at the camera, with a neutral face.",
        zh="请把头摆正，保持中性表情，直视镜头。",
        de="Halten Sie den Kopf gerade, und blicken Sie mit neutraler Miene direkt in die Kamera.",
        es="Mantenga la cabeza recta y mire directamente a la cámara, con expresión neutra.",
        fr="Tenez la tête droite et regardez directement l'appareil, avec une expression neutre.",
    ),
    "blurred": Hint(
        en="Hold still, make sure that the camera is in focus, and wipe its lens.",
        zh="请保持不动，确认对焦清晰，并擦拭镜头。",
        de="Halten Sie still, achten Sie auf die Schärfe, und wischen Sie die Linse ab.",
        es="No se mueva, compruebe el enfoque y limpie el objetivo.",
        fr="Ne bougez pas, vérifiez la mise au point et essuyez l'objectif.",
    ),
    "too_dark": Hint(
        en="Your face is too dark: let more light fall on it, and none come from behind.",
        zh="面部太暗：请让更多光线照到脸上，并避免逆光。",
        de="Ihr Gesicht ist zu dunkel: Sorgen Sie für mehr Licht von vorn und keines von hinten.",
        es="Su rostro está demasiado oscuro: ilumínelo más y evite el contraluz.",
        fr="Votre visage est trop sombre : éclairez-le davantage et évitez le contre-jour.",
    ),
    "too_bright": Hint(
        en="Your face is too bright: soften the light on it, and use no flash.",
        zh="面部太亮：请减弱照在脸上的光线，不要使用闪光灯。",
        de="Ihr Gesicht ist zu hell: Dämpfen Sie das Licht, und verzichten Sie auf Blitz.",
        es="Su rostro está demasiado claro: atenúe la luz y no use flash.",
        fr="Votre visage est trop clair : adoucissez la lumière et n'utilisez pas de flash.",
    ),
    "uneven_light": Hint(
        en="Let the light fall evenly on both sides of your face.",
        zh="请让光线均匀地照在脸的两侧。",
        de="Sorgen Sie dafür, dass beide Gesichtshälften gleichmäßig beleuchtet sind.",
        es="Haga que la luz ilumine por igual ambos lados del rostro.",
        fr="Éclairez de façon égale les deux côtés du visage.",
    ),
    "low_contrast": Hint(
        en="The photograph is too flat: use better light, and wipe the lens.",
        zh="照片对比度过低：请改善照明，并擦拭镜头。",
        de="Das Foto ist zu kontrastarm: Sorgen Sie für besseres Licht, und wischen Sie die Linse "
        "ab.",
        es="La fotografía tiene poco contraste: mejore la luz y limpie el objetivo.",
        fr="La photo manque de contraste : améliorez la lumière et essuyez l'objectif.",
    ),
    "compressed": Hint(
        en="Save or send the photograph with higher image quality.",
        zh="请以更高的图像质量保存或发送照片。",
        de="Speichern oder senden Sie das Foto mit höherer Bildqualität.",
        es="Guarde o envíe la fotografía con mayor calidad de imagen.",
        fr="Enregistrez ou envoyez la photo avec une meilleure qualité d'image.",
    ),
    "unnatural_colour": Hint(
        en="The colours are not natural: use white light and no filters.",
        zh="颜色不自然：请使用白光，不要使用滤镜。",
        de="Die Farben sind nicht natürlich: Verwenden Sie weißes Licht und keine Filter.",
        es="Los colores no son naturales: use luz blanca y ningún filtro.",
        fr="Les couleurs ne sont pas naturelles : utilisez une lumière blanche et aucun filtre.",
    ),
    "not_assessed": Hint(
        en="The photograph could not be assessed. Take it again.",
        zh="无法评估这张照片，请重新拍摄。",
        de="Das Foto konnte nicht beurteilt werden. Nehmen Sie es noch einmal auf.",
        es="No se ha podido evaluar la fotografía. Repítala.",
        fr="La photo n'a pas pu être évaluée. Reprenez-la.",
    ),
}


def hint(code: ReasonCode, language: Language) -> str:
    """What to do better."""
    text: str = getattr(HINTS[code], language)
    return text
